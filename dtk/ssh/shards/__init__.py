"""Connections to nodes that other processes hold, called shards: logins and encryption then use several cores.

In: requests to connect and to run commands. Out: their output and their ends. Must not know: what a task or a step is.
A shard writes no file: the task's own process has the log, the state and known_hosts.
"""
