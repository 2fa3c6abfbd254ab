"""The shared store of a team: one head per service changed by compare-and-swap, immutable bodies, event segments.

In: bytes of states, plans and events, and where to keep them. Out: the same for every clone, and one writer at a time.
Must not know: plans, nodes, screens.
"""
