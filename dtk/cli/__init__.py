"""The command line: the frame that finds a command and runs it, and how its results are printed.

In: the process's arguments. Out: text or JSON, an exit code. Must not know: how anything is planned or applied.
"""
