"""Converts the original DTK's modules to this one's, and lists what cannot be carried over, with its place.

In: folders of the original. Out: module folders and remarks. Must not know: workspaces and services.
"""
