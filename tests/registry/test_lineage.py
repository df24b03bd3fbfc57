"""From any model back to the rankings that shaped it, and from any snapshot forward to what came of it."""

from __future__ import annotations

import pytest

from registry.services import lineage
from registry.services.datasets import freeze_dataset
from registry.services.lineage import Edge, lineage_of
from tests.registry.factories import a_model, prompt


@pytest.fixture
def loop(rex, preferences, tmp_path):
    """base -> sft -> completions -> (rankings) harbour-1 -> reward and policy -> an adapter."""
    base = a_model(tmp_path, "base", role="base")
    sft = a_model(tmp_path, "sft", parents=[base])
    asked = freeze_dataset("asked", kind="prompts", splits={"train": [prompt("Why?")]}, user=rex, models_used=[sft])
    preferences.parents.add(asked)
    reward = a_model(tmp_path, "reward", role="reward", parents=[sft], datasets=[preferences])
    policy = a_model(tmp_path, "policy", role="policy", parents=[sft, reward], method="ppo")
    adapter = a_model(tmp_path, "adapter", role="policy", base=policy, parents=[policy])
    stranger = a_model(tmp_path, "stranger")
    return {m.name: m for m in (base, sft, reward, policy, adapter, stranger)}


def test_a_model_is_walked_back_to_its_rankings_and_their_campaign(loop, preferences):
    graph = lineage_of(loop["adapter"])
    assert graph.focus == f"model:{loop['adapter'].pk}"
    labels = {node.id: node.label for node in graph.nodes}
    assert set(labels.values()) == {
        "base", "sft", "asked", "harbour-1", "reward", "policy", "adapter", "Harbour", "4 rankings"
    }  # fmt: skip
    assert Edge(f"rankings:{preferences.pk}", f"dataset:{preferences.pk}") in graph.edges
    assert Edge("campaign:harbour", f"rankings:{preferences.pk}") in graph.edges
    raters = next(node for node in graph.nodes if node.kind == "rankings")
    assert raters.note == "by 2 raters" and raters.is_simulated


def test_a_snapshot_is_walked_forward_to_every_model_that_it_shaped(loop, preferences):
    labels = {node.label for node in lineage_of(preferences).nodes}
    assert {"reward", "policy", "adapter"} <= labels
    assert "stranger" not in labels


def test_what_is_made_stands_in_a_later_layer_than_what_it_was_made_from(loop):
    graph = lineage_of(loop["sft"])
    layer = {node.id: node.layer for node in graph.nodes}
    assert all(layer[edge.source] < layer[edge.target] for edge in graph.edges)
    assert min(layer.values()) == 0
    assert {edge.source for edge in graph.edges} | {edge.target for edge in graph.edges} == set(layer)


def test_siblings_are_not_kin(loop, tmp_path):
    a_model(tmp_path, "sibling", parents=[loop["base"]])
    assert "sibling" not in {node.label for node in lineage_of(loop["sft"]).nodes}


def test_a_thing_from_nowhere_stands_alone(loop):
    graph = lineage_of(loop["stranger"])
    assert [(node.label, node.layer) for node in graph.nodes] == [("stranger", 0)]
    assert graph.edges == () and not graph.is_cut


def test_a_picture_has_an_end_and_says_so(loop, monkeypatch):
    monkeypatch.setattr(lineage, "MOST_NODES", 3)
    graph = lineage_of(loop["base"])
    assert graph.is_cut and len([node for node in graph.nodes if node.kind in ("model", "dataset")]) == 3


def test_queries_grow_with_the_depth_and_not_with_the_breadth(loop, tmp_path, django_assert_max_num_queries):
    for i in range(30):
        a_model(tmp_path, f"wide-{i}", role="policy", parents=[loop["sft"]])
    with django_assert_max_num_queries(45):
        assert len(lineage_of(loop["sft"]).nodes) > 35
