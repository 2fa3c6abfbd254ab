"""The executor: applies one plan in a separate worker process.

In: a task folder with plan.json. Out: changed machines, events.jsonl, state. Must not know: how the plan was made, or
how its events are displayed.
"""
