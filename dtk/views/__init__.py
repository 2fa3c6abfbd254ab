"""Views: show plans, tasks and listings as text, pages and pictures.

In: plans and folded event logs. Out: text.
Must not know: where the data came from.
"""
