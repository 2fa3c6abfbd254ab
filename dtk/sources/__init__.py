"""Modules from git repositories and folders: resolved, pinned in dtk.lock, and stored by commit.

In: sources and refs. Out: module folders in .dtk/modules, and pins.
Must not know: plans and services. Never runs module code.
"""
