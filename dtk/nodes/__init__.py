"""Targets: where nodes come from, and how they are reached.

In: the settings of a target and the nodes that are needed. Out: machines made, started, stopped, terminated. Must not
know: plans and events. Only `nodes/TARGET/` knows what is special to a target.
"""
