"""The executor: applies one plan, in a worker process of its own.

In: a task folder with plan.json. Out: changed machines, events.jsonl, state. Must not know: how a plan was made, and
how its events are shown.
"""
