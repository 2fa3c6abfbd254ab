"""A module's own tests: golden plans, and tasks on local nodes with commands that fail as a test says.

In: the case files of a module. Out: passed or failed, with the difference. Must not know: where modules come from.
"""
