"""Tests of files that are consistent after any crash."""
