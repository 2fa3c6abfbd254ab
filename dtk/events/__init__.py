"""The append-only event log of a task: written, read, folded to a task tree.

In: typed events, or a log file. Out: one JSON object a line, or a `Task`. Must not know: screens and the network.
"""
