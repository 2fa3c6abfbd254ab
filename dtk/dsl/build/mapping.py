"""Parses attribute mappings: ``$port -> scheduler_port`` and all other forms of docs/original.md 4.3.

The dependency is always left of the arrow, the base component right of it. The arrow gives the direction; ``$`` marks
the source.
"""

from __future__ import annotations

import json
import re

from dtk.errors import Location
from dtk.model.json_data import Json
from dtk.model.module import AttributeMapping, AttributeTerm, ConstantTerm, Side, TextTerm

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_TERM = (
    rf"(?:(?P<number>{_WORD})\s*(?P<offset>\+\s*node\.port_offset)"
    rf"|(?P<node>node\.)?(?P<attribute>{_WORD})(?:\[(?P<key>[^\[\]]+)\])?)"
)
_MAPPING = re.compile(r"^\s*(?P<left>\S.*?)\s*(?P<arrow>->|<-)\s*(?P<right>\S.*?)\s*$", re.DOTALL)
_SOURCE = re.compile(rf"^\${_TERM}$")
_DESTINATION = re.compile(rf"^(?P<attribute>{_WORD})(?:\[(?P<key>[^\[\]]+)\])?$")
_EMBEDDED = re.compile(rf"\$\{{{_TERM}\}}")
_QUOTED = re.compile(r"""^(?P<quote>['"])(?P<text>.*)(?P=quote)$""", re.DOTALL)
_OTHER_SIDE: dict[Side, Side] = {"base": "dependency", "dependency": "base"}


def parse_mapping(text: str, location: Location) -> AttributeMapping:
    """Parse a mapping.

    Args:
        text: one item of ``attribute_mappings``.
        location: its location, for problems.

    Raises:
        ValueError: it is not a mapping; the message says why.
    """
    match = _MAPPING.match(text)
    if not match:
        raise ValueError(f"attribute mapping ({text}) is ill-formed: it needs an arrow, -> or <-, between two terms")
    to_base = match["arrow"] == "->"
    source, destination = (match["left"], match["right"]) if to_base else (match["right"], match["left"])
    side: Side = "dependency" if to_base else "base"
    try:
        return AttributeMapping(_source(source, side), _destination(destination, _OTHER_SIDE[side]), text, location)
    except ValueError as error:
        raise ValueError(f"attribute mapping ({text}) is ill-formed: {error}") from None


def _source(text: str, side: Side) -> AttributeTerm | TextTerm | ConstantTerm:
    match = _SOURCE.match(text)
    if match:
        return _term(match, side)
    if "${" in text:
        return _text(text, side)
    if text.startswith("$"):
        raise ValueError(f"'{text}' is not $attribute, $attribute[key], $node.attribute or $port + node.port_offset")
    if side == "base":
        return ConstantTerm(_constant(text))
    raise ValueError(f"mark the source with $, as in ${text}; a constant must be to the right of <-")


def _term(match: re.Match[str], side: Side) -> AttributeTerm:
    name = match["attribute"] or match["number"]
    return AttributeTerm(side, name, match["key"] or "", bool(match["node"]), bool(match["offset"]))


def _text(text: str, side: Side) -> TextTerm:
    parts: list[str | AttributeTerm] = []
    end = 0
    for match in _EMBEDDED.finditer(text):
        parts += [text[end : match.start()], _term(match, side)]
        end = match.end()
    parts.append(text[end:])
    if any(isinstance(part, str) and "${" in part for part in parts):
        raise ValueError(
            f"'{text}' has a variable that is not ${{attribute}}, ${{node.attribute}} or ${{port + node.port_offset}}"
        )
    return TextTerm(tuple(part for part in parts if part))


def _destination(text: str, side: Side) -> AttributeTerm:
    match = _DESTINATION.match(text)
    if match:
        return AttributeTerm(side, match["attribute"], match["key"] or "")
    if text.startswith("$"):
        raise ValueError(f"the arrow points to '{text}', but $ marks a source")
    raise ValueError(f"the arrow points to '{text}', which is not an attribute or attribute[key]")


def _constant(text: str) -> Json:
    quoted = _QUOTED.match(text)
    if quoted and quoted["quote"] == "'":
        return quoted["text"]
    try:
        data: Json = json.loads(text)
    except ValueError:
        raise ValueError(
            f"'{text}' is neither a $attribute nor a constant ('text', true, false, a number or JSON)"
        ) from None
    return data
