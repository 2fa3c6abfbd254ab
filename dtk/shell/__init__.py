"""The interactive shell: locations, completion and history around the commands of the command line.

In: lines that a user types. Out: command lines, run by `dtk.cli`.
Must not know: how commands work.
"""
