"""Tests of dtk through its real command line and real parts. docs/testing.md describes how to run them."""
