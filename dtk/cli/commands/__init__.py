"""The commands: each file parses one command's options, calls one function and prints what it returns.

In: typed arguments. Out: text or JSON on standard output, an exit code. Must not know: each other's output; what two
commands share stands in `dtk.cli` (printing) or `dtk.service` (work).
"""
