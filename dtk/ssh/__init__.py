"""SSH connections: opening one, pinning host keys, running commands and moving bytes, ending remote processes.

In: a `dtk.nodes.provider.Connection` and commands. Out: exit codes and every byte of output. Must not know: plans,
tasks, events, and what a command is for.
"""
