"""Files on disk: the workspace's paths, state documents, locks.

In: typed state. Out: files that are consistent after any crash. Must not know: plans, nodes, screens.
"""
