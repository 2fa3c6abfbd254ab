"""Converts modules of the original DTK, and lists what can't be converted, with its location.

In: folders of the original. Out: module folders and notes.
Must not know: workspaces and services.
"""
