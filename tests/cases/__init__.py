"""Tests of modules' own test cases (dtk test)."""
