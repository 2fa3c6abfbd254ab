"""Modules from elsewhere: git repositories and folders, resolved, pinned in dtk.lock, kept by commit."""
