"""Tests of state documents, their journal, and locks."""
