"""Resolves a service: its topology, links and the value of every attribute, as far as they are known.

In: modules, service and state, as a `PlanRequest`. Out: instances on nodes, links, values or typed references to
values, and violations. Must not know: workflows, and what was applied before.
"""
