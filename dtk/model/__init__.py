"""Frozen data: what modules, assemblies, services and plans are.

In and out: values. Must not know: files, the network, and every other room.
"""
