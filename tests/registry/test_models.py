"""Models are registered once and whole; a name moves by one hand at a time, on record."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from accounts.errors import Conflict
from audit.models import AuditEvent
from registry.models import Alias, ModelVersion
from registry.services.models import AliasMoved, BadModel, move_alias, register_model
from registry.services.names import BadName, NameTaken
from tests.registry.factories import a_model, model_artifact


def test_a_model_is_on_record_with_all_that_it_was_made_from(rex, preferences, tmp_path):
    base = a_model(tmp_path, "base", role="base")
    made = register_model(
        "policy", role="policy", artifact=model_artifact(tmp_path, "policy"), parents=[base], datasets=[preferences],
        method="dpo", user=rex, num_parameters=7,
    )  # fmt: skip
    assert list(made.parents.all()) == [base] and list(made.datasets.all()) == [preferences]
    assert made.is_simulated  # since its rankings are
    assert AuditEvent.objects.get(action="model.registered", target_id=str(made.pk)).actor == rex
    assert a_model(tmp_path, "next", parents=[made]).is_simulated


def test_a_name_is_given_once(rex, tmp_path):
    a_model(tmp_path, "twin")
    with pytest.raises(NameTaken, match="twin"):
        register_model("twin", role="sft", artifact=model_artifact(tmp_path, "other"), user=rex)
    assert ModelVersion.objects.count() == 1


def test_an_adapter_names_its_base_and_nothing_else_does(rex, tmp_path, prompts):
    base = a_model(tmp_path, "base")
    adapter = a_model(tmp_path, "adapter", base=base)
    assert adapter.is_adapter
    with pytest.raises(BadModel, match="adapter names its base"):
        register_model("lost", role="sft", artifact=model_artifact(tmp_path, "lost", adapter=True), user=rex)
    with pytest.raises(BadModel, match="adapter names its base"):
        register_model("whole", role="sft", artifact=model_artifact(tmp_path, "whole"), base=base, user=rex)
    with pytest.raises(BadModel, match="takes a model"):
        register_model("rows", role="sft", artifact=prompts.artifact, user=rex)


def test_an_adapter_may_stand_on_an_adapter_and_takes_a_name_like_any_model(grace, tmp_path):
    base = a_model(tmp_path, "base")
    sft = a_model(tmp_path, "sft-adapter", base=base)
    dpo = a_model(tmp_path, "dpo-adapter", role="policy", base=sft)
    assert dpo.below() == [base, sft] and sft.below() == [base] and base.below() == []
    assert move_alias("policy/current", model=dpo, user=grace).model == dpo


def test_a_name_moves_and_each_move_is_on_record(grace, tmp_path):
    one, two = a_model(tmp_path, "one"), a_model(tmp_path, "two")
    assert move_alias("sft/current", model=one, user=grace, expected=None).model == one
    assert move_alias("sft/current", model=two, user=grace, expected=one).model == two
    moves = list(AuditEvent.objects.filter(action="alias.moved").order_by("pk").values_list("data", flat=True))
    assert moves == [
        {"alias": "sft/current", "to": "one", "before": ""}, {"alias": "sft/current", "to": "two", "before": "one"}
    ]  # fmt: skip


def test_a_move_that_expects_something_else_is_refused_and_changes_nothing(grace, tmp_path):
    one, two = a_model(tmp_path, "one"), a_model(tmp_path, "two")
    with pytest.raises(AliasMoved):
        move_alias("sft/current", model=one, user=grace, expected=two)
    move_alias("sft/current", model=one, user=grace)
    for expected in (None, two):
        with pytest.raises(Conflict, match="means one now") as refused:
            move_alias("sft/current", model=two, user=grace, expected=expected)
        assert refused.value.data == {"now": "one"}
    assert Alias.objects.get().model == one
    assert AuditEvent.objects.filter(action="alias.moved").count() == 1


@pytest.mark.parametrize("name", ["", "SFT", "a/b/c", "/x", "a b", "x" * 65, "a\n"])
def test_an_alias_has_a_simple_name(grace, tmp_path, name):
    with pytest.raises(BadName):
        move_alias(name, model=a_model(tmp_path, "one"), user=grace)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_move_a_name_at_once_one_wins(tmp_path):
    first = a_model(tmp_path, "first")
    rivals = [a_model(tmp_path, f"rival-{i}") for i in range(4)]
    move_alias("sft/current", model=first, user=None)
    start, told = threading.Barrier(len(rivals)), []

    def move(model: ModelVersion) -> None:
        start.wait()
        try:
            told.append(move_alias("sft/current", model=model, user=None, expected=first).model.name)
        except AliasMoved:
            told.append("")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=move, args=[model]) for model in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told)[:-1] == [""] * 3
    assert Alias.objects.get().model.name == max(told)
