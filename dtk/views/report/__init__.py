"""The report of a task: one self-contained HTML page.

In: a folded event log. Out: HTML.
Must not know: workspaces.
"""
