"""Drift detection: finds changes to machines and components made outside of dtk, without changing anything.

In: a service and its state. Out: findings for `dtk plan --refresh`. Must not know: how findings are displayed or
applied; the plan applies them.
"""
