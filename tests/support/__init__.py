"""Helpers that tests of several folders share; fixtures are in the conftest.py files."""
