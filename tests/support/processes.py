"""Finds the processes that nodes of local services run."""

from __future__ import annotations

import os

import psutil

NAP = str(1_000_000 + os.getpid())
"""Seconds for which the nodes of these tests sleep, and those of no other tests that run at the same time."""


def node_processes(mark: str) -> list[psutil.Process]:
    """Return the processes whose environment names a node of this workspace's services."""
    return [process for process in psutil.process_iter() if mark in _node_mark(process)]


def runs(*words: str) -> list[psutil.Process]:
    """Return the processes on local nodes whose command line holds all these words."""
    return [process for process in node_processes("/") if set(words) <= set(_command_line(process))]


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _node_mark(process: psutil.Process) -> str:
    try:
        return process.environ().get("DTK_NODE", "")
    except (psutil.Error, OSError):
        return ""
