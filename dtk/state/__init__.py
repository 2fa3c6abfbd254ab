"""What is on disk: the workspace's paths, state documents, locks.

In: typed state. Out: files that are whole after any crash. Must not know: plans, nodes, screens.
"""
