"""Tests of state documents and locks."""
