"""`adaptrix calibrate` of the base model, a mix and a composition: what it makes holds for exactly who was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from adaptrix_core.adapters.manager import AdapterManager
from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.cli.authoring.calibrated_choice import label_in
from adaptrix_core.composition.manifests.making import made
from adaptrix_core.composition.model_strings import mix_named
from adaptrix_core.confidence.calibration import BASE_ANSWERS, ConfidenceCalibration, answerer_of
from adaptrix_core.config import load_settings
from adaptrix_core.digests import PackageDigest
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.build import build_engine
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.injection.mix import Term
from adaptrix_core.training.calibration.calibrate import Answerer
from tests.serving.inprocess import running
from tests.serving.tiny import World, make_world

Adaptrix = Callable[..., Result]

MATH, CODE = "math_reasoning", "code_generation"
MIX = f"{MATH}*0.7+{CODE}*0.3"
COMPOSITIONS: Mapping[str, Any] = {
    "both": {"parallel": {MATH: 0.7, CODE: 0.3}},
    "gated": {"parallel": [MATH, CODE], "combine": "gate"},
    "steps": {"sequential": [MATH, CODE]},
}
QUESTIONS = [f"What is {number} + 5?" for number in range(60)]
MAX_TOKENS = 4


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with compositions in its catalogue."""
    world = make_world(tmp_path_factory.mktemp("calibrating"))
    manager = AdapterManager(world.shipped, None, TrustPolicy.of(load_settings(world.settings()).adapters))
    for name, composition in COMPOSITIONS.items():
        manager.save_composition(made(manager, name, composition), private_key=world.private_key)
    return world


@pytest.fixture
def args(place: World, tmp_path: Path) -> dict[str, object]:
    return place.settings(
        router={"enabled": False},
        confidence={"calibrations_dir": str(tmp_path / "calibrations")},
        adapters={"state_dir": str(tmp_path / "state")},
    )


def asked(questions: list[str]) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": question}] for question in questions]


def write_data(engine: Engine, choice: AdapterChoice, path: Path) -> None:
    """Examples of which the surer half of the greedy answers are right."""
    params = SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0)
    answers = engine.generate(asked(QUESTIONS), choice, params, scores=["logprob_sum"])
    median = sorted(answer.scores["logprob_sum"] for answer in answers)[len(answers) // 2]
    completions = [answer.text if answer.scores["logprob_sum"] >= median else "another" for answer in answers]
    pairs = zip(QUESTIONS, completions, strict=True)
    path.write_text("".join(json.dumps({"prompt": q, "completion": text}) + "\n" for q, text in pairs))


@pytest.mark.parametrize(
    ("name", "choice"),
    [("base", None), (MIX, {MATH: 0.7, CODE: 0.3}), ("both", "both"), ("gated", "gated")],
    ids=["base", "mix", "composition", "gated"],
)
def test_a_calibration_holds_for_exactly_who_was_asked(
    adaptrix: Adaptrix, place: World, args: dict[str, object], tmp_path: Path, name: str, choice: AdapterChoice
) -> None:
    engine = build_engine(load_settings(args))
    write_data(engine, choice, tmp_path / "data.jsonl")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(args))
    options = ("--data", tmp_path / "data.jsonl", "--answers", tmp_path / "answers.jsonl", "--key", place.private_key)
    policies = ("--policy", "again", "--policy", f"again,{CODE}")
    done = adaptrix(
        "calibrate",
        name,
        *options,
        *policies,
        "--max-tokens",
        MAX_TOKENS,
        "--config",
        tmp_path / "settings.yaml",
        "--json",
    )
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    packages = {known: AdapterManager(place.shipped, None).snapshot(known).package_digest for known in (MATH, CODE)}
    assert document["answerer"] == answerer(place, name, packages)
    calibration = ConfidenceCalibration.model_validate(
        {key: value for key, value in document.items() if key != "calibration"}
    )
    (whole,) = engine.generate(asked(QUESTIONS[:1]), choice, SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0))
    ending = SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0, stop_token_ids=(whole.token_ids[2],))
    twice = asked(QUESTIONS[:1] * 2)
    told, other = engine.generate(twice, [choice, CODE], ending, scores=["logprob_sum"], confidence=True)
    assert told.confidence == pytest.approx(calibration.probability(told.scores["logprob_sum"]))
    assert other.confidence is None
    here = ("--local", "--config", tmp_path / "settings.yaml")
    card = json.loads(adaptrix("show", name, *here, "--json").stdout)
    assert [shown["measured"] for shown in card["calibrations"]] == [document["measured"]]
    assert [shown["policies"] for shown in card["calibrations"]] == [document["policies"]]
    assert list(document["policies"]) == ["again", f"again,{CODE}"]
    assert {point["coverage"] for point in document["policies"][f"again,{CODE}"]} == {1.0}, "it is not calibrated"
    people = adaptrix("show", name, *here).stdout
    assert f"calibration error {document['measured']['ece']:.3f}" in people
    assert "… again" in people
    served, shown = asyncio.run(told_by_a_server(args, name, whole.token_ids[2]))
    assert served == pytest.approx(told.confidence, abs=1e-3)
    assert shown["calibrations"] == card["calibrations"]
    if name not in COMPOSITIONS:
        assert (shown["name"], shown["parts"]) == (name, card["parts"])
        assert [part["package_digest"] for part in shown["parts"]] == [packages[term] for term in choice or {}]


async def told_by_a_server(
    args: Mapping[str, object], name: str, ending: int
) -> tuple[float | None, Mapping[str, Any]]:
    """The confidence of the answer to the first question, and what was measured of it, over HTTP."""
    async with running(args) as (client, _):
        models = (await client.get("/v1/models")).json()["data"]
        model = next(card["id"] for card in models if card["parent"] is None) if name == "base" else name
        body = {"model": model, "messages": asked(QUESTIONS[:1])[0], "max_tokens": MAX_TOKENS, "temperature": 0}
        fields = {"stop_token_ids": [ending], "adaptrix": {"confidence": True}}
        answer = await client.post("/v1/chat/completions", json={**body, **fields})
        assert answer.status_code == 200, answer.text
        told: float | None = answer.json()["choices"][0]["adaptrix"]["confidence"]
        card = await client.get(f"/v1/confidence/{name}")
        assert card.status_code == 200, card.text
        return told, card.json()


def answerer(place: World, name: str, packages: Mapping[str, PackageDigest]) -> str:
    if name == "base":
        return BASE_ANSWERS
    if name == MIX:
        return answerer_of([Term(packages[MATH], 0.7), Term(packages[CODE], 0.3)])
    return AdapterManager(place.shipped, None).snapshot(name).package_digest


def test_a_mix_with_a_long_name_can_be_calibrated(place: World, args: dict[str, Any], tmp_path: Path) -> None:
    names = [f"{number}".ljust(60, "x") for number in range(9)]
    for seed, name in enumerate(names):
        place.write_adapter(tmp_path / "many", name, seed)
    args["adapters"]["dir"] = str(tmp_path / "many")
    engine = build_engine(load_settings(args))
    called = label_in(engine, mix_named("+".join(names), "base-model"))
    made_for = Answerer.of(engine, mix_named("+".join(names), "base-model"), called)
    assert (called[:60], called[-1]) == (names[0], "…")
    fields = {"answerer": made_for.key, "base_lineage": "x", "base_digest": "x", "layout": made_for.layout}
    assert ConfidenceCalibration(name=called, method="platt", slope=1.0, **fields).name == called


def test_a_composition_of_several_mixes_is_refused_before_a_model_is_loaded(
    adaptrix: Adaptrix, place: World, args: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptrix_core.engine.build.build_engine", None)
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(args))
    options = ("--family", MATH, "--key", place.private_key, "--config", tmp_path / "settings.yaml")
    done = adaptrix("calibrate", "steps", *options)
    assert done.exit_code == 1
    assert "steps@1.0.0 comes to more than one mix" in done.stderr
