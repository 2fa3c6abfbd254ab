"""The command line: finds and runs the command that the user typed, and prints its results.

In: the process's arguments. Out: text or JSON, and an exit code.
Must not know: how anything is planned or applied.
"""
