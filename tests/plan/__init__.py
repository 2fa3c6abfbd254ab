"""Tests of plans: the golden cases, and properties of every plan."""
