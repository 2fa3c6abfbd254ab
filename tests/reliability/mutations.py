"""Mutations of inputs for fuzzing: of their bytes, and of their structure, so that most documents stay parseable."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

WORDS = [
    *(b"{{", b"}}", b"{%", b"%}", b"[", b"]", b"{", b"}", b":", b"- ", b"\n", b"\n  ", b"\t", b"\0", b'"', b"'", b"|"),
    *(b"&a", b"*a", b"<<: ", b"!!python/object", b"null", b"true", b"-1", b"1e999", b"9" * 400, b"\xff", b"\x1b]0;"),
    *(b"../", b"/", b"::", b"->", b"$x", b"${", b"=", b",", b"@", b"--", b"\xe2\x80\xae", b"\r\n", b"#", b"[" * 200),
    *(b"range(9)", b"x|join", b'{"a":', b"\\u0000", b"\\ud800", b"NaN", b"Infinity", b"1.5.1", b"slaves:[1-3]"),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 10**400, 2**63, 0.5, float("inf"), float("nan"), "", "x", "{{ x }}", "{{", "a b"),
    *("../../etc", "\x1b]0;x\x07", "\ud800", "é", "x" * 5000, "1", "true", "slaves:1", "a::b", [], [[]], {}, {"": {}}),
    *({"a": None}, [None], [1, "a"], {"x": [{}]}, "$a -> b", "env:HOME", "9" * 5000),
]


def mutated(seeds: list[bytes], chance: random.Random) -> bytes:
    """Return a seed with some changes."""
    seed = chance.choice(seeds)
    change: Callable[[bytes, list[bytes], random.Random], bytes] = chance.choice((_changed_bytes, _changed_structure))
    return change(seed, seeds, chance)


def _changed_bytes(seed: bytes, seeds: list[bytes], chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.randint(1, 6)):
        at, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
        end = min(end, at + 40)
        other = chance.choice(seeds)
        start = chance.randint(0, len(other))
        pieces = (chance.choice(WORDS), bytes(data[at:end]) * 2, b"", other[start : start + 60], chance.randbytes(2))
        data[at : chance.choice((at, end))] = chance.choice(pieces)
    return bytes(data)


def _changed_structure(seed: bytes, seeds: list[bytes], chance: random.Random) -> bytes:
    """Change values, keys and items in a document, or in one of the documents on its lines."""
    separator = b"\0" if b"\0" in seed else b"\n" if seed.startswith(b'{"v"') else b""
    parts = seed.split(separator) if separator else [seed]
    at = chance.randrange(len(parts))
    try:
        data = json.loads(_as_json(parts[at]))
    except ValueError:
        return _changed_bytes(seed, seeds, chance)
    for _ in range(chance.randint(1, 3)):
        data = _changed(data, chance)
    parts[at] = json.dumps(data, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return separator.join(parts)


@lru_cache(maxsize=4096)
def _as_json(part: bytes) -> str:
    """Return a JSON or YAML document as JSON.

    Raises:
        ValueError: it is neither.
    """
    try:
        return json.dumps(json.loads(part))
    except (ValueError, RecursionError):
        pass
    try:
        return json.dumps(YAML(typ="safe", pure=True).load(part.decode()), default=str)
    except (YAMLError, TypeError, RecursionError) as error:
        raise ValueError from error


def _changed(value: Any, chance: random.Random) -> Any:
    """Return data with one random change somewhere in it."""
    if not isinstance(value, (dict, list)) or not value or chance.random() < 0.05:
        return deepcopy(chance.choice(VALUES))
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = chance.choice(keys)
    what = chance.random()
    if what < 0.7:
        value[key] = _changed(value[key], chance)
    elif what < 0.8:
        del value[key]
    elif isinstance(value, list):
        value.insert(key, deepcopy(chance.choice([value[chance.choice(keys)], *VALUES[:8]])))
    else:
        value[str(chance.choice([chance.choice(VALUES), f"{key}x", chance.choice(keys)]))] = deepcopy(value[key])
    return value
