"""Detects at the start of a task that AWS credentials expire before the task is expected to finish."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from dtk.events.earlier_tasks import learned_expectation
from dtk.events.fold import fold_log
from dtk.store.credentials import credentials_end


def early_end(profile: str, log: Path) -> tuple[float, float] | None:
    """Return whether AWS credentials expire before a task is expected to finish.

    Args:
        profile: the name of their profile, "" for the default ones.
        log: the log of the task; the logs of earlier tasks are beside it.

    Returns:
        The seconds until they expire and the expected duration in seconds; None if they last long enough or if either
        is unknown.
    """
    end = credentials_end(profile, os.environ)
    expected = None if end is None else learned_expectation(log).of(fold_log(log, writer_alive=True))
    if end is None or expected is None:
        return None
    left = (end - datetime.now(UTC)).total_seconds()
    return (left, expected) if left < expected else None
