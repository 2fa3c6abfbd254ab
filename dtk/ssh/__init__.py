"""SSH connections: opens them, pins host keys, runs commands, transfers bytes and ends remote processes.

In: a `dtk.nodes.provider.Connection` and commands. Out: exit codes and every byte of output. Must not know: plans,
tasks, events, and what a command is for.
"""
