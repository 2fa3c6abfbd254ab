"""Targets: where nodes come from, and how to reach them.

In: the settings of a target and the requested nodes. Out: machines created, started, stopped, terminated. Must not
know: plans and events. Only `nodes/TARGET/` knows what is specific to a target.
"""
