"""Tests of the event log: writing, reading and folding into a task tree."""
