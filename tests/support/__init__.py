"""Helpers shared by tests of several folders. Fixtures are in the conftest.py files."""
