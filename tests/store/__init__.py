"""Tests of the shared store: its objects, and its protocol under any interleaving, fault and crash."""
