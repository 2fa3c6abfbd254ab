"""Tests of the lease: one holder per service, decided only by the store's clock and compare-and-swap of the head."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from dtk.errors import DtkError
from dtk.store.access import fetch_key, forget_key, publish_key
from dtk.store.commit import Barrier, Barriers, commit_state, committed_state
from dtk.store.errors import DamagedError, FencedError, HeldError, StoreError, StoreUnreachableError
from dtk.store.head import Head, decode, encode
from dtk.store.layout import ServiceKeys
from dtk.store.lease import (
    GRACE_SECONDS,
    HeldLease,
    LeaseRequest,
    Tools,
    acquire,
    is_held,
    new_lease,
    take_up,
)
from dtk.store.mirror import head_now
from dtk.store.objects import Objects
from dtk.store.segments import LogMirror, LogShipper, Shipped, read_log
from tests.store.stores import FAULTS, FaultyObjects, MemoryObjects, Time

SCHEMA = Path(__file__).parents[2] / "schemas/head.schema.json"
KEYS = ServiceKeys("spark")
LEASE = 60.0


def request(host: str = "a", lineage: str = "L") -> LeaseRequest:
    return LeaseRequest("spark", lineage, new_lease(host, "ci", "dtk apply spark", LEASE, "https://ci/job/7"))


def take(objects: Objects, time: Time, host: str = "a", wait: float = 0.0, lineage: str = "L") -> HeldLease:
    return acquire(Tools(objects, time, time.sleep), request(host, lineage), wait=wait)


def head_of(objects: Objects) -> Head:
    found = head_now(objects, "spark")
    assert found is not None
    return found.head


def test_the_head_is_what_its_schema_says(objects: Objects) -> None:
    time = Time()
    held = take(objects, time)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(json.loads(encode(held.head)), schema)
    commit_state(held, 1, b"{}")
    jsonschema.validate(json.loads(encode(held.head)), schema)
    held.release()
    assert head_of(objects) == held.head
    jsonschema.validate(json.loads(encode(held.head)), schema)
    assert decode(encode(held.head), "head") == held.head


def test_a_head_of_a_newer_dtk_and_a_damaged_one_are_refused() -> None:
    with pytest.raises(DtkError, match="newer dtk"):
        decode(json.dumps({"format_version": 2}).encode(), "head.json")
    for data in (b"{", b"[]", b'{"format_version": 1}'):
        with pytest.raises(DamagedError, match=r"head\.json in the store is damaged"):
            decode(data, "head.json")


def test_whoever_finds_it_held_is_told_by_whom_and_when_it_may_be_taken(objects: Objects) -> None:
    take(objects, Time())
    with pytest.raises(HeldError, match=r"'dtk apply spark' \(ci@a, https://ci/job/7\)") as refused:
        take(objects, Time(), "b")
    assert refused.value.exit_code == 4
    assert "--lock-wait" in refused.value.hint


def test_a_released_service_is_taken_at_once_with_the_next_epoch(objects: Objects) -> None:
    held = take(objects, Time())
    held.release()
    assert take(objects, Time(), "b").head.epoch == held.head.epoch + 1


def test_a_holder_that_is_gone_is_replaced_by_whoever_waits_long_enough() -> None:
    time = Time()
    objects = MemoryObjects(time)
    first = take(objects, time)
    began = time.now
    second = take(objects, time, "b", wait=120)
    assert LEASE + GRACE_SECONDS < time.now - began < LEASE + GRACE_SECONDS + 5
    assert second.previous is not None
    assert second.previous.nonce == first.nonce
    with pytest.raises(FencedError, match=r"superseded: 'dtk apply spark' \(ci@b"):
        first.beat()


def test_a_holder_that_beats_is_never_replaced() -> None:
    time = Time()
    objects = MemoryObjects(time)
    held = take(objects, time)
    for _ in range(50):
        time.sleep(LEASE / 3)
        assert held.heartbeat_is_needed
        held.beat()
        with pytest.raises(HeldError):
            take(objects, time, "b")


def test_a_lease_past_its_time_that_nobody_took_goes_on() -> None:
    time = Time()
    held = take(MemoryObjects(time), time)
    time.sleep(1000)
    assert not held.is_valid
    held.beat()
    assert held.is_valid


def test_a_wrong_clock_of_the_holder_does_not_cost_it_the_lease() -> None:
    store_time, two_hours_off = Time(), Time(1000 + 7200)
    objects = MemoryObjects(store_time)
    held = acquire(Tools(objects, two_hours_off, two_hours_off.sleep), request())
    with pytest.raises(HeldError):
        take(objects, store_time, "b")
    held.beat()


def test_another_process_goes_on_with_the_same_lease(objects: Objects) -> None:
    held = take(objects, Time())
    taken_up = take_up(Tools(objects), "spark", held.nonce)
    taken_up.begin_task(3)
    found = head_of(objects)
    assert (found.last_task, found.lease.task if found.lease else 0, found.epoch) == (3, 3, 1)
    with pytest.raises(FencedError):
        take_up(Tools(objects), "spark", "another nonce")


def test_another_service_of_the_same_name_is_refused_with_both_ids(objects: Objects) -> None:
    take(objects, Time()).release()
    with pytest.raises(StoreError, match="id L, this one has M"):
        take(objects, Time(), lineage="M")


def test_after_a_destroy_a_new_service_begins_whose_tasks_are_numbered_on(objects: Objects) -> None:
    held = take(objects, Time())
    held.begin_task(4)
    commit_state(held, 9, b"{}")
    held.release(destroyed=True)
    assert head_of(objects).destroyed
    head = take(objects, Time(), lineage="M").head
    assert (head.lineage, head.serial, head.state, head.last_task, head.destroyed) == ("M", 0, None, 4, False)


def test_a_head_that_is_gone_fences_its_holder(objects: Objects) -> None:
    held = take(objects, Time())
    objects.delete(KEYS.head)
    with pytest.raises(FencedError, match="the store was emptied"):
        held.beat()


def test_a_head_changed_against_the_protocol_stops_its_holder() -> None:
    time = Time()
    objects = MemoryObjects(time)
    held = take(objects, time)
    objects.files[KEYS.head] = (encode(replace(held.head, serial=99)), time.now)
    with pytest.raises(DamagedError, match="does not follow the protocol"):
        held.beat()


def test_a_state_is_committed_once_and_read_with_its_digest_checked(objects: Objects) -> None:
    held = take(objects, Time())
    commit_state(held, 2, b"two")
    commit_state(held, 2, b"two")
    assert committed_state(objects, head_of(objects)) == b"two"
    assert len(objects.list(KEYS.states)) == 1
    objects.delete(KEYS.state(2, 1))
    with pytest.raises(DamagedError, match="state 2 in the store is damaged"):
        committed_state(objects, head_of(objects))
    objects.put_new(KEYS.state(2, 1), b"other")
    with pytest.raises(DamagedError, match="differs from what was committed"):
        committed_state(objects, head_of(objects))


def test_those_at_a_barrier_are_let_go_when_both_are_there() -> None:
    barriers = Barriers()
    assert not barriers
    barriers.add(Barrier(1, serial=3, log_bytes=10))
    barriers.add(Barrier(2, serial=5))
    assert [one.number for one in barriers.passed(3, 5)] == []
    assert [one.number for one in barriers.passed(3, 10)] == [1]
    assert [one.number for one in barriers.passed(9, 10)] == [2]
    assert not barriers


def test_a_log_is_shipped_in_segments_and_comes_back_elsewhere(objects: Objects, tmp_path: Path) -> None:
    log, copy = tmp_path / "events.jsonl", tmp_path / "copy.jsonl"
    shipper = LogShipper(objects, KEYS, 1, log, Shipped())
    shipper.ship()
    log.write_bytes(b'{"seq":1}\n{"seq":2}\n{"se')
    shipper.ship()
    assert LogMirror(objects, KEYS, 1, copy).fetch()
    assert copy.read_bytes() == b'{"seq":1}\n{"seq":2}\n'
    log.write_bytes(b'{"seq":1}\n{"seq":2}\n{"seq":3}\n' + b"x" * 300_000 + b"\n")
    shipper.finish()
    mirror = LogMirror(objects, KEYS, 1, copy)
    assert mirror.shipped == Shipped(1, 20)
    assert mirror.fetch()
    assert not mirror.fetch()
    assert copy.read_bytes() == log.read_bytes()
    assert read_log(objects, KEYS, 1) == (log.read_bytes(), ())
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_copy_torn_by_a_crash_is_cut_before_it_goes_on(objects: Objects, tmp_path: Path) -> None:
    log, copy = tmp_path / "events.jsonl", tmp_path / "copy.jsonl"
    log.write_bytes(b"1\n")
    shipper = LogShipper(objects, KEYS, 1, log, Shipped())
    shipper.ship()
    LogMirror(objects, KEYS, 1, copy).fetch()
    with copy.open("ab") as file:
        file.write(b"half of the next segm")
    log.write_bytes(b"1\n2\n")
    shipper.ship()
    LogMirror(objects, KEYS, 1, copy).fetch()
    assert copy.read_bytes() == b"1\n2\n"


def test_a_segment_of_another_writer_fences(objects: Objects, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes(b"1\n")
    shipper = LogShipper(objects, KEYS, 1, log, Shipped())
    objects.put_new(KEYS.segment(1, 1), b"another's\n")
    with pytest.raises(FencedError, match="closed the log of task 1"):
        shipper.ship()


def test_a_gap_between_segments_is_said(objects: Objects, tmp_path: Path) -> None:
    for number in (1, 3):
        objects.put_new(KEYS.segment(1, number), f"{number}\n".encode())
    assert read_log(objects, KEYS, 1) == (b"1\n", ("a gap: segment 2 of task 1 is missing, segment 3 is there",))
    mirror = LogMirror(objects, KEYS, 1, tmp_path / "copy.jsonl")
    mirror.fetch()
    assert (tmp_path / "copy.jsonl").read_bytes() == b"1\n"
    mirror.fetch_rest()
    assert (tmp_path / "copy.jsonl").read_bytes() == b"1\n3\n"


def test_the_private_key_is_made_once_and_fetched_for_this_user_alone(objects: Objects, tmp_path: Path) -> None:
    here, there, other = tmp_path / "id", tmp_path / "elsewhere/keys/id", tmp_path / "other"
    here.write_bytes(b"PRIVATE")
    other.write_bytes(b"OTHER")
    assert not fetch_key(objects, KEYS, there)
    assert publish_key(objects, KEYS, here)
    assert not publish_key(objects, KEYS, other)
    assert fetch_key(objects, KEYS, there)
    assert there.read_bytes() == b"PRIVATE"
    assert there.stat().st_mode & 0o777 == 0o600
    assert all(not key.startswith(KEYS.folder) for key in objects.list(""))
    forget_key(objects, KEYS)
    assert not fetch_key(objects, KEYS, there)


def story(tools: Tools, log: Path, lines: bytes) -> None:
    """Do all writes of one task: take the lease, begin, ship, commit twice, finish, release."""
    held = acquire(tools, request())
    held.begin_task(1)
    shipper = LogShipper(tools.objects, KEYS, 1, log, Shipped())
    log.write_bytes(lines[:2])
    shipper.ship()
    commit_state(held, 1, b"one")
    log.write_bytes(lines)
    shipper.ship()
    commit_state(held, 4, b"four")
    shipper.finish()
    held.release()


def refusal_of(tools: Tools, log: Path) -> str:
    """Run the story. Return the error message that it ended with, "" if it completed."""
    try:
        story(tools, log, b"1\n2\n")
    except DtkError as error:
        return error.message
    return ""


def calls_of_the_story(tmp_path: Path) -> int:
    time = Time()
    faulty = FaultyObjects(MemoryObjects(time))
    story(Tools(faulty, time, time.sleep), tmp_path / "log", b"1\n2\n")
    return faulty.calls


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_call_ends_in_the_same_or_in_words_and_never_in_a_second_lineage(
    fault: str, tmp_path: Path
) -> None:
    for at in range(calls_of_the_story(tmp_path)):
        time, log = Time(), tmp_path / f"log-{at}"
        inner = MemoryObjects(time)
        faulty = FaultyObjects(inner, fault, at, hang=time.sleep)
        refusal = refusal_of(Tools(faulty, time, time.sleep), log)
        if refusal:
            assert fault in ("credentials expired", "emptied", "503 five times"), (fault, at, refusal)
        else:
            head = head_of(inner)
            assert (head.serial, head.lease, head.epoch, head.last_task) == (4, None, 1, 1), (fault, at)
            assert fault == "emptied" or committed_state(inner, head) == b"four", (fault, at)
            assert fault == "emptied" or read_log(inner, KEYS, 1) == (b"1\n2\n", ()), (fault, at)
        heads = [decode(data, key) for key, data in inner.history if key == KEYS.head]
        assert {head.lineage for head in heads} <= {"L"}
        # Whatever happened before, the next holder can continue.
        again = take(inner, time, "b", wait=200)
        again.beat()


def test_a_store_that_is_away_for_good_is_said_and_nothing_is_assumed() -> None:
    time = Time()

    class Away(MemoryObjects):
        def get(self, key: str) -> None:
            raise StoreUnreachableError("the store can't be reached")

    with pytest.raises(StoreUnreachableError, match="can't be reached"):
        take(Away(time), time)


def test_a_lease_is_held_until_its_time_and_the_grace_are_over() -> None:
    head = Head("L", lease=new_lease("a", "u", "c", LEASE))
    assert is_held(head, LEASE + GRACE_SECONDS)
    assert not is_held(head, LEASE + GRACE_SECONDS + 0.1)
    assert not is_held(replace(head, lease=None), 0.0)
