"""Tests of three actors on one service with interleaved requests, pauses, crashes and wrong clocks.

``DTK_INTERLEAVINGS=10000 pytest tests/store/test_interleavings.py`` runs the long form.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from greenlet import greenlet
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dtk.errors import DtkError
from dtk.store.commit import commit_state, committed_state
from dtk.store.errors import FencedError
from dtk.store.head import Head, decode
from dtk.store.layout import ServiceKeys
from dtk.store.lease import HeldLease, LeaseRequest, Tools, acquire, new_lease
from dtk.store.mirror import head_now
from dtk.store.objects import Stored, put_once
from tests.store.stores import MemoryObjects, Time

RUNS = int(os.environ.get("DTK_INTERLEAVINGS", "200"))
KEYS = ServiceKeys("s")
LEASE = 60.0
MOST_SKEW = 10.0
T = TypeVar("T")
ACTORS = st.integers(0, 2)


class _Dead(BaseException):
    """Raised in a killed actor, so that it neither runs nor writes anything more."""


@dataclass
class Stepped:
    """Objects that call ``pause`` before each request, and again before its answer is returned."""

    inner: MemoryObjects
    pause: Callable[[], None]

    def get(self, key: str) -> Stored | None:
        return self._stepped(lambda: self.inner.get(key))

    def put_new(self, key: str, data: bytes) -> str | None:
        return self._stepped(lambda: self.inner.put_new(key, data))

    def put_if(self, key: str, data: bytes, etag: str) -> str | None:
        return self._stepped(lambda: self.inner.put_if(key, data, etag))

    def list(self, prefix: str, after: str = "") -> Sequence[str]:
        return self._stepped(lambda: self.inner.list(prefix, after))

    def names(self, prefix: str) -> Sequence[str]:
        return self.inner.names(prefix)

    def delete(self, key: str) -> None:
        self._stepped(lambda: self.inner.delete(key))

    def _stepped(self, request: Callable[[], T]) -> T:
        self.pause()
        answer = request()
        self.pause()
        return answer


@dataclass
class World:
    """The state that all actors share, and a record of their work."""

    time: Time = field(default_factory=Time)
    instances: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.objects = MemoryObjects(self.time)


class Actor:
    """A process that repeatedly takes the service, commits, ships, creates instances and releases the service."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.skew = 0.0
        self.lease: HeldLease | None = None
        self.start()

    def start(self) -> None:
        self.lease = None
        self.run = greenlet(self._live)

    def clock(self) -> float:
        return self.world.time.now + self.skew

    def step(self) -> None:
        """Continue until the actor's next request, or until the answer to its current one."""
        self.run.switch()
        if self.run.dead:
            self.start()

    def kill(self) -> None:
        if self.run:
            self.run.throw(_Dead)
        self.start()

    def _pause(self) -> None:
        parent = self.run.parent
        assert parent is not None
        parent.switch()

    def _live(self) -> None:
        tools = Tools(Stepped(self.world.objects, self._pause), self.clock, lambda _: self._pause())
        try:
            self.lease = acquire(tools, LeaseRequest("s", "L", new_lease(self.name, "u", "apply", LEASE)))
            self._work(tools, self.lease)
        except (DtkError, _Dead):
            pass
        finally:
            self.lease = None

    def _work(self, tools: Tools, lease: HeldLease) -> None:
        body = committed_state(tools.objects, lease.head)
        state: dict[str, Any] = json.loads(body) if body else {"serial": 0, "parent": 0, "tokens": []}
        lease.begin_task(1)
        for turn in range(3):
            if not lease.is_valid:
                lease.beat()
            token = f"{self.name}-{lease.head.epoch}-{turn}"
            committed = lease.head.serial
            state = {"serial": state["serial"] + 2, "parent": committed, "tokens": [*state["tokens"], token]}
            commit_state(lease, state["serial"], json.dumps(state).encode())
            if lease.is_valid:
                self._make(token)
            self._ship(tools, f"{lease.head.epoch} {turn}\n")
        lease.release()

    def _make(self, token: str) -> None:
        committed = [
            token
            for key, data in self.world.objects.history
            if key == KEYS.head and (pointer := decode(data, key).state)
            for token in json.loads(self.world.objects.files[pointer.key][0])["tokens"]
        ]
        assert token in committed, "an instance is made whose token nobody could find again"
        self.world.instances.append(token)

    def _ship(self, tools: Tools, line: str) -> None:
        number = len(tools.objects.list(KEYS.segments(1))) + 1
        if not put_once(tools.objects, KEYS.segment(1, number), line.encode(), sleep=tools.sleep):
            raise FencedError("another holder has written this segment")
        self.world.lines.append(line)


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.actors = [Actor(self.world, name) for name in "abc"]

    @rule(actor=ACTORS, steps=st.integers(1, 12))
    def go_on(self, actor: int, steps: int) -> None:
        for _ in range(steps):
            self.actors[actor].step()
            self.at_most_one_lease_is_believed_in()

    @rule(actor=ACTORS)
    def kill(self, actor: int) -> None:
        self.actors[actor].kill()

    @rule(seconds=st.sampled_from([1.0, 19.0, 45.0, 51.0, 60.0, 74.0, 76.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.time.sleep(seconds)

    @rule(actor=ACTORS, skew=st.floats(-MOST_SKEW, MOST_SKEW))
    def a_clock_drifts(self, actor: int, skew: float) -> None:
        self.actors[actor].skew = skew

    @invariant()
    def at_most_one_lease_is_believed_in(self) -> None:
        held = [actor.name for actor in self.actors if actor.lease and self._believes(actor.lease)]
        assert len(held) <= 1, f"{held} both hold the service"

    @staticmethod
    def _believes(lease: HeldLease) -> bool:
        return lease.is_valid and lease.head.held_by(lease.nonce)

    @invariant()
    def committed_serials_are_a_chain(self) -> None:
        before = Head("L", epoch=0)
        for key, data in self.world.objects.history:
            if key == KEYS.head:
                head = decode(data, key)
                self._check_follows(before, head)
                before = head

    def _check_follows(self, before: Head, head: Head) -> None:
        assert head.lineage == "L"
        assert head.epoch in (before.epoch, before.epoch + 1)
        if head.serial == before.serial:
            assert head.state == before.state
            return
        assert head.epoch == before.epoch
        assert head.state is not None
        body = json.loads(self.world.objects.files[head.state.key][0])
        assert (body["serial"], body["parent"]) == (head.serial, before.serial), "a commit was overwritten"

    @invariant()
    def no_segment_is_written_twice(self) -> None:
        written = [key for key, _ in self.world.objects.history if key != KEYS.head]
        assert len(written) == len(set(written))
        numbers = [int(key[-14:-6]) for key in written if key.startswith(KEYS.segments(1))]
        assert numbers == list(range(1, len(numbers) + 1))

    def teardown(self) -> None:
        for actor in self.actors:
            actor.kill()
        # Whatever happened before, anybody can take the service once the lease has expired.
        self.world.time.sleep(LEASE * 2)
        tools = Tools(self.world.objects, self.world.time, self.world.time.sleep)
        held = acquire(tools, LeaseRequest("s", "L", new_lease("d", "u", "apply", LEASE)))
        found = head_now(self.world.objects, "s")
        assert found is not None
        assert found.head == held.head


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=RUNS, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
