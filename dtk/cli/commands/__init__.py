"""The commands: each file parses the options of one command, calls one function and prints its result.

In: typed arguments. Out: text or JSON on standard output, and an exit code.
Must not know: each other's output. What commands share is in `dtk.cli` (printing) or `dtk.service` (work).
"""
