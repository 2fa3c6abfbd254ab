"""The report of a task: one self-contained page for a browser.

In: a folded event log. Out: HTML. Must not know: workspaces.
"""
