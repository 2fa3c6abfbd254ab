"""Canonical JSON of a value and its digest: equal values have equal digests."""

from __future__ import annotations

import hashlib
import json


def canonical(value: object) -> str:
    """Return a value's canonical JSON (sorted keys, no blanks), so that equal values have equal digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def digest_of(value: object) -> str:
    """Return ``sha256:…`` of a value's canonical JSON."""
    return f"sha256:{hashlib.sha256(canonical(value).encode()).hexdigest()}"
