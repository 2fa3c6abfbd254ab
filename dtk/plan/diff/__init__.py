"""The content of a plan: the difference between the workflow and what was applied, as numbered steps.

In: stages with their actions, and the state. Out: changes with reasons, deletions, the selected steps as a tree. Must
not know: how a plan is written to a file or displayed.
"""
