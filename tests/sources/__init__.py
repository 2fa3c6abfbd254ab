"""Tests of installing modules from git."""
