"""Workflows over a topology: which component actions run where, in which order.

In: a resolved service and its written or derived stages. Out: stages, each with the rendered actions of each node.
Must not know: what was applied before; every stage is included, even if it has nothing to do.
"""
