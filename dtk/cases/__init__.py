"""Tests of modules: expected plans, and tasks on local nodes with scripted command results and failures.

In: a module's case files. Out: passed or failed, with the differences. Must not know: where modules come from.
"""
