"""The compiler: turns modules, service and state into an explicit plan, as a pure function.

In: a `PlanRequest`. Out: a `Plan` and its document; the same input gives the same bytes. Must not know: the network,
nodes, clocks.
"""
