"""Tests of converting modules of the original."""
