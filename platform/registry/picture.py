"""A lineage graph as a picture: boxes in columns from the oldest to the newest, lines between them. Plain values for SVG."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from django.utils.translation import gettext

from registry.services.lineage import Graph, Node

BOX_WIDTH, BOX_HEIGHT = 228, 52  # px
GAP_X, GAP_Y = 48, 18
MARGIN = 8
LABEL = 25  # characters that fit into a box
SWEEPS = 4  # of the ordering: more change nothing on graphs that people look at


@dataclass(frozen=True, slots=True)
class Box:
    x: int
    y: int
    label: str
    note: str
    kind: str
    url: str
    full: str
    is_focus: bool
    is_simulated: bool

    @property
    def text_y(self) -> int:
        return self.y + 22

    @property
    def note_y(self) -> int:
        return self.y + 40


@dataclass(frozen=True, slots=True)
class Picture:
    width: int
    height: int
    box_width: int
    box_height: int
    boxes: tuple[Box, ...]
    paths: tuple[str, ...]  # SVG path data
    words: tuple[str, ...]  # the same, as sentences for those who do not see it


def draw(graph: Graph) -> Picture:
    columns = ordered(graph)
    tallest = max((len(column) for column in columns), default=1)
    height = 2 * MARGIN + tallest * (BOX_HEIGHT + GAP_Y) - GAP_Y
    places: dict[str, tuple[int, int]] = {}
    for i, column in enumerate(columns):
        top = (height - len(column) * (BOX_HEIGHT + GAP_Y) + GAP_Y) // 2
        for j, node in enumerate(column):
            places[node.id] = (MARGIN + i * (BOX_WIDTH + GAP_X), top + j * (BOX_HEIGHT + GAP_Y))
    boxes = tuple(
        box_of(node, *places[node.id], is_focus=node.id == graph.focus) for column in columns for node in column
    )
    return Picture(
        width=2 * MARGIN + len(columns) * (BOX_WIDTH + GAP_X) - GAP_X,
        height=height,
        box_width=BOX_WIDTH,
        box_height=BOX_HEIGHT,
        boxes=boxes,
        paths=tuple(path(places[edge.source], places[edge.target]) for edge in graph.edges),
        words=in_words(graph),
    )


def ordered(graph: Graph) -> list[list[Node]]:
    """Columns by layer; in each, boxes near what they are joined with (the barycentre of their neighbours)."""
    columns: dict[int, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        columns[node.layer].append(node)
    neighbours: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        neighbours[edge.source].append(edge.target)
        neighbours[edge.target].append(edge.source)
    found = [columns[layer] for layer in sorted(columns)]
    for _ in range(SWEEPS):
        for column in found:
            rank = {node.id: i for other in found for i, node in enumerate(other)}
            means = {
                node.id: sum(rank[n] for n in near) / len(near) if (near := neighbours[node.id]) else rank[node.id]
                for node in column
            }
            column.sort(key=lambda node, means=means: means[node.id])  # type: ignore[misc]
    return found


def box_of(node: Node, x: int, y: int, *, is_focus: bool) -> Box:
    label = node.label if len(node.label) <= LABEL else node.label[: LABEL - 1] + "…"
    return Box(
        x=x,
        y=y,
        label=label,
        note=node.note,
        kind=node.kind,
        url=node.url,
        full=node.label,
        is_focus=is_focus,
        is_simulated=node.is_simulated,
    )


def path(source: tuple[int, int], target: tuple[int, int]) -> str:
    x1, y1 = source[0] + BOX_WIDTH, source[1] + BOX_HEIGHT // 2
    x2, y2 = target[0], target[1] + BOX_HEIGHT // 2
    bend = max(GAP_X // 2, (x2 - x1) // 2)
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"


def in_words(graph: Graph) -> tuple[str, ...]:
    names = {node.id: node.label for node in graph.nodes}
    made_from: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        made_from[edge.target].append(names[edge.source])
    return tuple(
        gettext("%(thing)s comes from %(sources)s.") % {"thing": names[target], "sources": ", ".join(sources)}
        for target, sources in made_from.items()
    )
