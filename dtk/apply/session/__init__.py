"""The tools of a running task: one connection per node, pyinfra on top of it, secrets, cancellation.

In: how to reach nodes, operations and commands. Out: results of operations. Must not know: the order of steps.
"""
