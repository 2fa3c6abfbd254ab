"""Drift: what became of machines and components behind the plan, found by asking and changing nothing.

In: a service and its state. Out: findings for `dtk plan --refresh`. Must not know: how findings are shown, and how
they are applied; that is the plan's work.
"""
