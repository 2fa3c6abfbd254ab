"""What a running task works with: one connection a node, pyinfra on top of it, secrets, cancellation.

In: how nodes are reached, operations and commands. Out: results of operations. Must not know: the order of steps.
"""
