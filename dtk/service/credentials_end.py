"""Says, when a task begins, that the credentials for the shared store end before it is expected to."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from dtk.events.earlier_tasks import earlier_tasks
from dtk.events.expected_times import learn
from dtk.events.fold import fold_log
from dtk.model.store_settings import StoreSettings
from dtk.store.credentials import credentials_end


def early_end(settings: StoreSettings, log: Path) -> tuple[float, float] | None:
    """Return whether the credentials for a store end before a task is expected to.

    Args:
        settings: the store.
        log: the task's; those of earlier tasks are beside it.

    Returns:
        In how many seconds they end, and how many such a task took; None where they last, or nothing is known of that.
    """
    end = credentials_end(settings, os.environ)
    expected = None if end is None else learn(earlier_tasks(log)).of(fold_log(log, writer_alive=True))
    if end is None or expected is None:
        return None
    left = (end - datetime.now(UTC)).total_seconds()
    return (left, expected) if left < expected else None
