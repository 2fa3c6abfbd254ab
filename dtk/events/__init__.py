"""The append-only event log of a task: writing, reading, and folding it into a task tree.

In: typed events, or a log file. Out: one JSON object per line, or a `Task`. Must not know: screens and the network.
"""
