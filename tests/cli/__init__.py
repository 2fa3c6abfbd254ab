"""Tests of the command line's reference."""
