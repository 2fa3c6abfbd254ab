"""Runs one action on one node: operations, commands, deploys, Puppet code, then its outputs.

In: a planned action and a session with the node. Out: records of what was done, and the values of the outputs. Must
not know: stages, other nodes, and how machines are created.
"""
