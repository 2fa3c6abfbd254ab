"""Tests of the modules that come with dtk."""
