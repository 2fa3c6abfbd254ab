"""Finds the processes that nodes of local services run."""

from __future__ import annotations

import os

import psutil

NAP = str(1_000_000 + os.getpid())
"""A sleep time in seconds, unique to this test process, by which tests find their own nodes' processes."""


def node_processes(mark: str) -> list[psutil.Process]:
    """Return the processes whose node mark in the environment contains ``mark``, such as a workspace's path."""
    return [process for process in psutil.process_iter() if mark in _node_mark(process)]


def runs(*words: str) -> list[psutil.Process]:
    """Return the processes on local nodes whose command line contains all these words."""
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
