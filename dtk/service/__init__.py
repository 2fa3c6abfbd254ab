"""A service instance as commands and the shell use it: found, read, planned, edited, its tasks looked up.

In: the name that a user gave, and the workspace. Out: typed inputs, plans and task logs. Must not know: typer, and
how anything is printed.
"""
