"""The append-only event log of a task: written, read, folded to a task tree."""
