"""Where a model or dataset comes from and what came of it: a layered graph, from rankings to checkpoints and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext, ngettext

from accounts.numbers import whole
from registry.models import DatasetVersion, ModelVersion

MOST_NODES = 120  # of a picture that a person can read
MOST_STEPS = 40  # up, and down: a chain of rounds; each is a handful of queries, however broad the graph

Thing = ModelVersion | DatasetVersion
Pair = tuple[str, str]  # keys: what was made from, what was made


@dataclass(frozen=True, slots=True)
class Node:
    """`kind` is "model", "dataset", "campaign" or "rankings"; `layer` grows from what was first, 0."""

    id: str
    kind: str
    label: str
    note: str = ""
    url: str = ""
    layer: int = 0
    is_simulated: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` was made from `source`."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Graph:
    focus: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    is_cut: bool = False  # there is more than was walked


@dataclass(slots=True)
class Walk:
    things: dict[str, Thing] = field(default_factory=dict)
    edges: set[Pair] = field(default_factory=set)
    is_cut: bool = False

    def meet(self, pairs: Iterable[tuple[Pair, Thing]]) -> list[Thing]:
        """Keeps edges with the thing at their far end; returns the things that are new, while there is room."""
        new = []
        for pair, thing in pairs:
            if key(thing) not in self.things:
                if len(self.things) >= MOST_NODES:
                    self.is_cut = True
                    continue
                self.things[key(thing)] = thing
                new.append(thing)
            self.edges.add(pair)
        return new


def lineage_of(thing: Thing) -> Graph:
    """All ancestors and all descendants of `thing`, and the rankings behind the snapshots among them."""
    walk = Walk(things={key(thing): thing})
    for step in (sources_of, results_of):
        frontier: list[Thing] = [thing]
        for _ in range(MOST_STEPS):
            frontier = walk.meet(step(frontier))
            if not frontier:
                break
        walk.is_cut = walk.is_cut or bool(frontier)
    beginnings = [node for found in walk.things.values() for node in campaign_nodes(found)]
    edges = walk.edges | {
        (before.id, after.id) for before, after in zip(beginnings[::2], beginnings[1::2], strict=True)
    }
    edges |= {(rankings.id, f"dataset:{rankings.id.removeprefix('rankings:')}") for rankings in beginnings[1::2]}
    layers = layered(edges)
    nodes = {node.id: node for node in [*beginnings, *map(node_of, walk.things.values())]}
    placed = [at_layer(node, layers.get(node.id, 0)) for node in nodes.values()]
    return Graph(
        focus=key(thing),
        nodes=tuple(sorted(placed, key=lambda node: (node.layer, node.kind, node.label, node.id))),
        edges=tuple(Edge(source, target) for source, target in sorted(edges)),
        is_cut=walk.is_cut,
    )


def key(thing: Thing) -> str:
    return f"{'model' if isinstance(thing, ModelVersion) else 'dataset'}:{thing.pk}"


def sources_of(things: list[Thing]) -> Iterator[tuple[Pair, Thing]]:
    """What `things` were made from, with the edges: five queries for any number of things."""
    models = {thing.pk: thing for thing in things if isinstance(thing, ModelVersion)}
    datasets = {thing.pk: thing for thing in things if isinstance(thing, DatasetVersion)}
    parents = ModelVersion.parents.through.objects.filter(from_modelversion__in=models)
    yield from joined(ModelVersion, parents.values_list("to_modelversion", "from_modelversion"), models, up=True)
    bases = ModelVersion.objects.filter(pk__in=models, base__isnull=False)
    yield from joined(ModelVersion, bases.values_list("base", "pk"), models, up=True)
    learned = ModelVersion.datasets.through.objects.filter(modelversion__in=models)
    yield from joined(DatasetVersion, learned.values_list("datasetversion", "modelversion"), models, up=True)
    older = DatasetVersion.parents.through.objects.filter(from_datasetversion__in=datasets)
    yield from joined(DatasetVersion, older.values_list("to_datasetversion", "from_datasetversion"), datasets, up=True)
    used = DatasetVersion.models_used.through.objects.filter(datasetversion__in=datasets)
    yield from joined(ModelVersion, used.values_list("modelversion", "datasetversion"), datasets, up=True)


def results_of(things: list[Thing]) -> Iterator[tuple[Pair, Thing]]:
    """What was made from `things`."""
    models = {thing.pk: thing for thing in things if isinstance(thing, ModelVersion)}
    datasets = {thing.pk: thing for thing in things if isinstance(thing, DatasetVersion)}
    children = ModelVersion.parents.through.objects.filter(to_modelversion__in=models)
    yield from joined(ModelVersion, children.values_list("to_modelversion", "from_modelversion"), models, up=False)
    adapters = ModelVersion.objects.filter(base__in=models)
    yield from joined(ModelVersion, adapters.values_list("base", "pk"), models, up=False)
    made = DatasetVersion.models_used.through.objects.filter(modelversion__in=models)
    yield from joined(DatasetVersion, made.values_list("modelversion", "datasetversion"), models, up=False)
    newer = DatasetVersion.parents.through.objects.filter(to_datasetversion__in=datasets)
    yield from joined(DatasetVersion, newer.values_list("to_datasetversion", "from_datasetversion"), datasets, up=False)
    taught = ModelVersion.datasets.through.objects.filter(datasetversion__in=datasets)
    yield from joined(ModelVersion, taught.values_list("datasetversion", "modelversion"), datasets, up=False)


def joined(
    far: type[ModelVersion] | type[DatasetVersion], pairs: Iterable[tuple[Any, Any]], near: dict[Any, Any], *, up: bool
) -> Iterator[tuple[Pair, Thing]]:
    """Loads what stands at the far end of `pairs` (source, target), of which `near` has the other end."""
    found = list(pairs) if near else []
    if not found:
        return
    others = far._default_manager.in_bulk([source if up else target for source, target in found])
    for source, target in sorted(found, key=str):
        other, known = (others[source], near[target]) if up else (others[target], near[source])
        yield ((key(other), key(known)) if up else (key(known), key(other))), other


def layered(edges: set[Pair]) -> dict[str, int]:
    """The longest way from a beginning to each node (Kahn). There are no cycles: a thing is made after what it is made from."""
    sources: defaultdict[str, set[str]] = defaultdict(set)
    targets: defaultdict[str, set[str]] = defaultdict(set)
    for source, target in edges:
        sources[target].add(source)
        targets[source].add(target)
    layers = {name: 0 for name in targets if name not in sources}
    ready = list(layers)
    while ready:
        name = ready.pop()
        for target in targets[name]:
            layers[target] = max(layers.get(target, 0), layers[name] + 1)
            sources[target].discard(name)
            if not sources[target]:
                ready.append(target)
    return layers


def node_of(thing: Thing) -> Node:
    if isinstance(thing, ModelVersion):
        role = thing.get_role_display()
        note = gettext("%(role)s, by %(method)s") % {"role": role, "method": thing.method} if thing.method else role
        return Node(key(thing), "model", thing.name, note, reverse("model", args=[thing.pk]), 0, thing.is_simulated)
    note = ngettext("%(kind)s, %(num)s row", "%(kind)s, %(num)s rows", thing.num_rows)
    note %= {"kind": thing.get_kind_display(), "num": whole(thing.num_rows)}
    return Node(key(thing), "dataset", thing.name, note, reverse("dataset", args=[thing.pk]), 0, thing.is_simulated)


def campaign_nodes(thing: Thing) -> list[Node]:
    """The campaign and the rankings that a snapshot was frozen from, as its query tells: two nodes, or none."""
    if not isinstance(thing, DatasetVersion) or "campaign" not in thing.query:
        return []
    query = thing.query
    slug = str(query["campaign"])
    campaign = Node(
        f"campaign:{slug}", "campaign", str(query.get("campaign_name", slug)), gettext("Campaign"), campaign_url(slug)
    )
    if "num_rankings" not in query:
        return []
    num = query["num_rankings"]
    label = ngettext("%(num)s ranking", "%(num)s rankings", num) % {"num": whole(num)}
    note = note_of_rankings(query.get("num_raters"), is_shuffled=query.get("shuffled_seed") is not None)
    if query.get("ai", {}).get("num_rankings"):
        note = gettext("%(people)s, and AI feedback") % {"people": note}
    return [campaign, Node(f"rankings:{thing.pk}", "rankings", label, note, "", 0, thing.is_simulated)]


def note_of_rankings(num_raters: object, *, is_shuffled: bool) -> str:
    if not isinstance(num_raters, int):
        return gettext("Rankings, shuffled") if is_shuffled else gettext("Rankings")
    if is_shuffled:
        note = ngettext("by %(num)s rater, shuffled", "by %(num)s raters, shuffled", num_raters)
    else:
        note = ngettext("by %(num)s rater", "by %(num)s raters", num_raters)
    return note % {"num": whole(num_raters)}


def campaign_url(slug: str) -> str:
    """Campaigns are of an app above this one: their address is known by its name alone."""
    try:
        return reverse("campaign", args=[slug])
    except NoReverseMatch:  # a dataset whose campaign was named by something else than a slug
        return ""


def at_layer(node: Node, layer: int) -> Node:
    return Node(node.id, node.kind, node.label, node.note, node.url, layer, node.is_simulated)
