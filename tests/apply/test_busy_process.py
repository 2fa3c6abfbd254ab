"""A process that is busy with running steps starts no others at once, but does not keep them waiting either."""

from __future__ import annotations

import gevent
import pytest

from dtk.apply import stages


def test_another_step_starts_when_the_running_ones_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_LONGEST_BUSY_SECONDS", 60.0)
    advanced = []

    def work() -> None:
        for number in range(50):
            advanced.append(number)
            gevent.sleep(0)
        gevent.sleep(60)

    running = gevent.spawn(work)
    stages._let_running_steps_go_on()
    assert len(advanced) == 50
    running.kill()


def test_another_step_starts_however_busy_the_process_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_LONGEST_BUSY_SECONDS", 0.01)

    def work() -> None:
        while True:
            gevent.sleep(0)

    running = gevent.spawn(work)
    stages._let_running_steps_go_on()
    assert not running.ready()
    running.kill()
