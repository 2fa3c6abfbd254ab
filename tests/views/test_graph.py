"""A service's picture as Mermaid, DOT and SVG, with every component and the components that it uses."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from dtk.views.graph_text import dot, mermaid
from dtk.views.picture import Arrow, Box, Picture, StageBox
from dtk.views.picture_svg import picture_svg

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def picture() -> Picture:
    members = tuple(f"slaves:{index}" for index in range(1, 4))
    return Picture(
        "web1",
        (
            Box("assembly_wide", ("assembly_wide",), ("web::names",)),
            Box("master", ("master",), ("web::database", 'web::site[<"a">]')),
            Box("slaves", members, ("web::server",), is_group=True),
        ),
        (
            Arrow(("slaves", "web::server"), ("master", "web::database")),
            Arrow(("master", 'web::site[<"a">]'), ("master", "web::database")),
            Arrow(("master", "web::database"), ("slaves", "web::server")),
        ),
        (
            StageBox("1", "database", ("configure_node master",)),
            StageBox("2", "servers", ("configure_nodegroup slaves (3)",)),
        ),
    )


def places(svg: str) -> dict[str, tuple[float, float, float, float]]:
    """Return each box by its heading: left, top, width, height."""
    found = {}
    for part in ET.fromstring(svg).iter(f"{SVG}g"):
        rect, text = part.find(f"{SVG}rect"), part.find(f"{SVG}text")
        assert rect is not None
        assert text is not None
        found[text.text or ""] = tuple(float(rect.get(key, "0")) for key in ("x", "y", "width", "height"))
    return found  # type: ignore[return-value]


def test_mermaid_names_every_component_once_and_every_use(picture: Picture) -> None:
    lines = mermaid(picture).splitlines()
    assert lines[0] == "flowchart LR"
    identifiers = dict(re.findall(r'^\s+(?:subgraph )?(\w+)\["(.*)"\]$', "\n".join(lines), re.MULTILINE))
    assert sorted(identifiers.values()) == sorted([
        "assembly_wide", "web::names", "master", "web::database", "web::site[#lt;#quot;a#quot;#gt;]", "slaves (3)",
        "web::server", "Stages", "1 database<br>configure_node master", "2 servers<br>configure_nodegroup slaves (3)",
    ])  # fmt: skip
    uses = [
        (identifiers[a], identifiers[b]) for a, b in re.findall(r"^\s+(\w+) --> (\w+)$", "\n".join(lines), re.MULTILINE)
    ]
    assert ("web::server", "web::database") in uses
    assert len(uses) == 4


def test_dot_is_a_graph_with_balanced_braces_and_quoted_names(picture: Picture) -> None:
    text = dot(picture)
    assert text.startswith('digraph "web1" {')
    assert text.count("{") == text.count("}")
    assert 'label="web::site[<\\"a\\">]"' in text
    assert 'label="slaves (3)"' in text
    assert len(re.findall(r" -> ", text)) == 4


def test_svg_is_valid_and_shows_a_square_for_each_member(picture: Picture) -> None:
    root = ET.fromstring(picture_svg(picture))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"master", "slaves (3)", "web::database", 'web::site[<"a">]', "1 database", "2 servers"} <= set(texts)
    titles = [element.text or "" for element in root.iter(f"{SVG}title")]
    assert [title for title in titles if title.startswith("slaves:")] == ["slaves:1", "slaves:2", "slaves:3"]
    assert sum("uses" in title for title in titles) == 3


@pytest.mark.parametrize("nodes", [3, 300])
def test_boxes_never_overlap_and_stay_within_the_picture(nodes: int) -> None:
    boxes = tuple(Box(f"n{index}", (f"n{index}",), ("a::b", "a::c")) for index in range(nodes))
    arrows = tuple(Arrow((f"n{index}", "a::b"), ("n0", "a::c")) for index in range(1, nodes))
    svg = picture_svg(Picture("s", boxes, arrows))
    root = ET.fromstring(svg)
    found = sorted(places(svg).values())
    assert len(found) == nodes
    assert max(x + wide for x, _, wide, _ in found) <= float(root.get("width", "0"))
    assert max(y + high for _, y, _, high in found) <= float(root.get("height", "0"))
    for index, (x, y, wide, high) in enumerate(found):
        for other_x, other_y, _, _ in found[index + 1 :]:
            assert other_x >= x + wide or other_y >= y + high or other_y + high <= y


def test_what_is_used_stands_left_of_what_uses_it(picture: Picture) -> None:
    one_way = Picture("s", picture.boxes, picture.arrows[:1])
    found = places(picture_svg(one_way))
    assert found["master"][0] + found["master"][2] < found["slaves (3)"][0]


def ways(svg: str) -> dict[str, list[tuple[float, float]]]:
    """Return each arrow by its title, as the points of its path."""
    found = {}
    for path in ET.fromstring(svg).iter(f"{SVG}path"):
        title = path.find(f"{SVG}title")
        if title is not None:
            numbers = [float(number) for number in re.findall(r"-?[0-9.]+", path.get("d", ""))]
            found[title.text or ""] = list(zip(numbers[::2], numbers[1::2], strict=True))
    return found


def test_an_arrow_goes_round_the_boxes_that_stand_between() -> None:
    boxes = tuple(Box(name, (name,), ("a", "b")) for name in ("used", "middle", "user"))
    arrows = (
        Arrow(("middle", "a"), ("used", "a")),
        Arrow(("user", "a"), ("middle", "b")),
        Arrow(("user", "a"), ("used", "a")),
    )
    svg = picture_svg(Picture("s", boxes, arrows))
    left, top, wide, _ = places(svg)["middle"]
    over = ways(svg)["user/a uses used/a"]
    assert {y for x, y in over if left <= x <= left + wide} | {min(y for _, y in over)} == {min(y for _, y in over)}
    assert min(y for _, y in over) < top
    # The arrow starts at the box of the component that uses the other.
    assert over[0][0] == places(svg)["user"][0]
    assert svg.count('marker-start="url(#start)"') == 3


def test_no_two_arrows_lie_on_one_another() -> None:
    components = tuple(f"c{number}" for number in range(9))
    arrows = (*(Arrow(("m", "c0"), ("m", one)) for one in components[1:]), Arrow(("m", "c8"), ("m", "c4")))
    found = ways(picture_svg(Picture("s", (Box("m", ("m",), components),), arrows)))
    assert len({tuple(points) for points in found.values()}) == 9
    assert len({points[1][0] for points in found.values()}) == 9
    assert len({points[0] for points in found.values()}) == 9


def test_a_long_name_stays_in_its_box() -> None:
    name = "W" * 80
    stages = (StageBox("1", name, (name,)), StageBox("2", "b", ()))
    svg = picture_svg(Picture("s", (Box(name, (name,), (name,)),), (), stages))
    root = ET.fromstring(svg)
    sizes = ("x", "y", "width", "height")
    found = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class", "").startswith("box")]
    boxes = [tuple(float(rect.get(key, "0")) for key in sizes) for rect in found]
    # 7.2 is the average width of a letter in the widest font; a name of only W is wider, and is cut earlier.
    for text in root.iter(f"{SVG}text"):
        x, y, shown = float(text.get("x", "0")), float(text.get("y", "0")), text.text or ""
        around = [box for box in boxes if box[0] <= x <= box[0] + box[2] and box[1] <= y <= box[1] + box[3]]
        assert not around or x + len(shown) * 7.2 <= around[0][0] + around[0][2]
    assert len([title for title in root.iter(f"{SVG}title") if title.text == name]) >= 3
