"""Tests that every kind of object store keeps the same contract, such as: a failed condition changes nothing."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from dtk.model.store_settings import StoreSettings, settings_of
from dtk.store import s3_objects
from dtk.store.credentials import credentials_end, refuse_questions
from dtk.store.errors import StoreError, StoreUnreachableError
from dtk.store.folder_objects import FolderObjects
from dtk.store.objects import Objects, check_conditions, put_once
from dtk.store.opening import open_access, open_objects
from dtk.store.s3_objects import S3Objects
from dtk.store.s3_problems import S3Refusal, refusal
from tests.store.stores import MemoryObjects, S3Fault, S3Server, Time
from tests.support.waiting import eventually

S3 = tuple[S3Server, StoreSettings]


def test_an_object_comes_back_as_it_was_written(objects: Objects) -> None:
    assert objects.get("a/b.json") is None
    etag = objects.put_new("a/b.json", b"1")
    found = objects.get("a/b.json")
    assert found is not None
    assert (found.data, found.etag) == (b"1", etag)
    assert 0 <= found.age < 60


def test_only_the_first_of_two_new_ones_is_written(objects: Objects) -> None:
    assert objects.put_new("k", b"first")
    assert objects.put_new("k", b"second") is None
    assert objects.get("k").data == b"first"  # type: ignore[union-attr]


def test_only_what_has_not_changed_is_replaced(objects: Objects) -> None:
    before = objects.put_new("k", b"1")
    assert before is not None
    after = objects.put_if("k", b"2", before)
    assert after is not None
    assert after != before
    assert objects.put_if("k", b"3", before) is None
    assert objects.put_if("gone", b"3", before) is None
    assert objects.get("k").data == b"2"  # type: ignore[union-attr]
    assert objects.get("gone") is None


def test_what_is_deleted_is_gone_and_may_be_deleted_again(objects: Objects) -> None:
    objects.put_new("k", b"1")
    objects.delete("k")
    objects.delete("k")
    assert objects.get("k") is None


def test_keys_are_listed_in_order_after_one(objects: Objects) -> None:
    for key in ("s/b/2", "s/b/1", "s/bc/1", "s/a", "s/b/10"):
        objects.put_new(key, b"")
    assert list(objects.list("s/b/")) == ["s/b/1", "s/b/10", "s/b/2"]
    assert list(objects.list("s/b/", "s/b/10")) == ["s/b/2"]
    assert list(objects.list("s/b")) == ["s/b/1", "s/b/10", "s/b/2", "s/bc/1"]
    assert list(objects.list("none/")) == []
    assert list(objects.names("s/")) == ["b", "bc"]
    assert list(objects.names("none/")) == []


def test_of_eight_that_write_at_once_one_wins(objects: Objects) -> None:
    won: list[int] = []

    def race(number: int) -> None:
        for key in range(10):
            if objects.put_new(f"race/{key}", str(number).encode()):
                won.append(key)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(10))


def test_the_probe_accepts_it_and_leaves_nothing(objects: Objects) -> None:
    check_conditions(objects, "")
    assert list(objects.list("")) == []


def test_a_store_without_conditional_writes_is_refused() -> None:
    class Careless(MemoryObjects):
        def put_new(self, key: str, data: bytes) -> str | None:
            return self._write(key, data)

    class Forgetful(MemoryObjects):
        def put_if(self, key: str, data: bytes, etag: str) -> str | None:
            return self._write(key, data)

    for objects in (Careless(Time()), Forgetful(Time())):
        with pytest.raises(StoreError, match="ignores the conditions") as refused:
            check_conditions(objects, "")
        assert "folder" in refused.value.hint
        assert list(objects.list("")) == []


def test_a_write_whose_answer_is_lost_is_known_as_its_own(s3: S3) -> None:
    server, settings = s3
    objects = S3Objects(settings)
    server.faults.append(S3Fault("PUT", lost=True))
    assert put_once(objects, "k", b"mine", sleep=lambda _: None)
    assert not put_once(objects, "k", b"other", sleep=lambda _: None)
    assert objects.get("k").data == b"mine"  # type: ignore[union-attr]


@pytest.mark.parametrize("is_written", [True, False])
def test_a_store_that_hangs_is_given_up_and_asked_what_became_of_it(
    s3: S3, monkeypatch: pytest.MonkeyPatch, *, is_written: bool
) -> None:
    server, settings = s3
    server.faults.append(S3Fault("PUT", hangs=True, lost=is_written))
    with monkeypatch.context() as patch:
        patch.setattr(s3_objects, "ANSWER_SECONDS", 0.5)
        hasty = S3Objects(settings)
    with pytest.raises(StoreUnreachableError, match="can't be reached"):
        hasty.put_new("k", b"1")
    objects = S3Objects(settings)
    assert (objects.get("k") is not None) == is_written
    assert put_once(objects, "k", b"1", sleep=lambda _: None)


@pytest.mark.parametrize(
    ("code", "status"),
    [("ConditionalRequestConflict", 409), ("SlowDown", 503), ("InternalError", 500), ("RequestTimeout", 400)],
)
def test_an_answer_that_says_nothing_is_neither_done_nor_refused(s3: S3, code: str, status: int) -> None:
    server, settings = s3
    objects = S3Objects(settings)
    server.faults.append(S3Fault("PUT", code, status))
    with pytest.raises(StoreUnreachableError, match=code):
        objects.put_new("k", b"1")
    assert put_once(objects, "k", b"1", sleep=lambda _: None)


@pytest.mark.parametrize(
    ("code", "status", "message", "hint"),
    [
        ("ExpiredToken", 400, "credentials for the store have expired", "get new ones"),
        ("AccessDenied", 403, "the store refused the request", "docs/teams.md"),
        ("NoSuchBucket", 404, "the store refused the request", "create the bucket"),
        ("NotImplemented", 501, "not support conditional writes", "use a store that supports them"),
    ],
)
def test_what_must_be_put_right_first_is_said(s3: S3, code: str, status: int, message: str, hint: str) -> None:
    server, settings = s3
    server.faults.append(S3Fault("PUT", code, status))
    with pytest.raises(StoreError, match=message) as refused:
        S3Objects(settings).put_new("k", b"1")
    assert not isinstance(refused.value, StoreUnreachableError)
    assert hint in refused.value.hint


def test_credentials_past_the_end_that_their_variable_names_are_said_to_have_expired(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = datetime.now(UTC) + timedelta(seconds=1)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", end.isoformat())
    objects = S3Objects(s3[1])
    eventually(lambda: datetime.now(UTC) > end, "the end has come")
    with pytest.raises(StoreError, match="the credentials for the store have expired"):
        objects.get("a")


def test_credentials_that_a_person_is_asked_for_are_refused_in_words(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile ops]\nrole_arn = arn:aws:iam::111122223333:role/ops\nsource_profile = base\n"
        "mfa_serial = arn:aws:iam::111122223333:mfa/alice\n"
        "[profile base]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
    )
    settings = StoreSettings("s3", bucket="b", profile="ops")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CONFIG_FILE", str(config))
        with pytest.raises(StoreError, match="profile 'ops' asks for an MFA code") as refused:
            refuse_questions(settings)
        assert "aws configure export-credentials --profile ops" in refused.value.hint
        refuse_questions(replace(settings, profile="base"))


def test_a_serial_beside_the_keys_of_a_profile_is_no_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile ops]\nrole_arn = arn:aws:iam::111122223333:role/ops\nsource_profile = base\n"
        "[profile base]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
        "mfa_serial = arn:aws:iam::111122223333:mfa/alice\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    refuse_questions(StoreSettings("s3", bucket="b", profile="ops"))


def test_the_end_of_credentials_that_do_not_exist_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert credentials_end("lost", {}) is None


@pytest.mark.parametrize(("hours", "direction"), [(2, "behind"), (-2, "ahead")])
def test_a_clock_that_is_wrong_is_said_with_how_much(hours: int, direction: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    answer: S3Refusal = {
        "Error": {"Code": "RequestTimeTooSkewed"},
        "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {"date": date}},
    }
    problem = refusal(answer, "s3://b/k")
    assert re.search(f"clock is (119|120) min {direction}", problem.message)
    assert "set-ntp" in problem.hint


def test_a_bucket_of_another_region_is_said_with_the_setting_to_correct() -> None:
    answer: S3Refusal = {"Error": {"Code": "PermanentRedirect"}, "ResponseMetadata": {"HTTPStatusCode": 301}}
    assert "store: region" in refusal(answer, "s3://b/k").hint


def test_a_store_that_is_not_there_is_unreachable() -> None:
    settings = StoreSettings("s3", bucket="b", region="us-east-1", endpoint_url="http://127.0.0.1:9")
    before = dict(os.environ)
    os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")
    try:
        with pytest.raises(StoreUnreachableError, match="can't be reached"):
            S3Objects(settings).get("k")
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_keys_stand_below_the_prefix_and_are_encrypted_with_the_key_named(s3: S3) -> None:
    server, settings = s3
    open_objects(settings).put_new("services/a/head.json", b"1")
    assert server.requests == [("PUT", "/acme/platform/services/a/head.json")]
    access = open_access(settings_of({**settings.__dict__, "access_kms_key": "alias/keys"}))
    assert isinstance(access, S3Objects)
    assert access._encryption == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/keys"}


def test_files_of_a_folder_are_private_and_a_reader_needs_no_right_to_write(tmp_path: Path) -> None:
    before: Sequence[int] = [os.umask(0o000)]
    try:
        FolderObjects(tmp_path / "store").put_new("services/a/head.json", b"1")
    finally:
        os.umask(before[0])
    file = tmp_path / "store/services/a/head.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_away_is_unreachable_not_empty(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file, where the folder was mounted")
    with pytest.raises(StoreError, match="can't be used"):
        FolderObjects(tmp_path / "store").put_new("k", b"1")
    with pytest.raises(StoreError, match="can't be used"):
        FolderObjects(tmp_path / "store").get("k")
