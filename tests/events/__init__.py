"""Tests of the event log: writing, reading, folding."""
