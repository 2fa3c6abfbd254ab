"""Tests of whole stories: the command line on local nodes and on hosts."""
