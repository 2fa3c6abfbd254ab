"""Tests of plans: the golden cases and what must hold for any plan."""
