"""Frozen dataclasses for modules, assemblies, services and plans.


In and out: values. Must not know: files, the network, or any other room.
"""
