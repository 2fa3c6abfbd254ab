"""Machines in a task: made, booted, described, powered, terminated; their firewall; processes left on them.

In: steps on machines, the provider of the target. Out: changed nodes in the state and the log. Must not know:
components and their actions.
"""
