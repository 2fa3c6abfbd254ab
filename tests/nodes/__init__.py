"""Tests of the targets local and hosts: their nodes as real machines."""
