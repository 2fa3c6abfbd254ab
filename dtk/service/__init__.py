"""Service instances for commands and the shell: look up, read, plan and edit them, and find their tasks.

In: the name that a user typed, and the workspace. Out: typed inputs, plans and task logs.
Must not know: typer, and how anything is printed.
"""
