"""Tests of the command line: its arguments, its error messages and its reference."""
