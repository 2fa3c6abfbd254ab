"""Machines in a task: creating, booting, describing, powering, terminating; their firewall; leftover processes.

In: steps on machines, the provider of the target. Out: changed nodes in the state and the log. Must not know:
components and their actions.
"""
