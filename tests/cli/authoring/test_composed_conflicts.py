"""`compose` measures what a mix does to its adapters' answers before it signs, and does as the settings say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from tests.serving.tiny import World, make_world

Adaptrix = Callable[..., Result]
HALVES = ("--parallel", "math_reasoning=0.5,code_generation=0.5")
PARTS = ("math_reasoning@1.0.0", "code_generation@1.0.0")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path_factory.getbasetemp() / "conflicts-cache"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("measuring"))


@pytest.fixture
def compose(adaptrix: Adaptrix, place: World, tmp_path: Path) -> Callable[..., Result]:
    """``compose(name, *options, **settings)`` runs the command, signing, under these settings of ``composition``."""

    def run(name: str, *options: object, **composition: object) -> Result:
        path = tmp_path / "settings.yaml"
        path.write_text(yaml.safe_dump(place.settings(router={"enabled": False}, composition=composition)))
        arguments = (*options, "--sign", "--key", place.private_key, "--json", "--config", path)
        return adaptrix("compose", name, *arguments)

    return run


def said(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_card_tells_what_was_measured(
    compose: Callable[..., Result], adaptrix: Adaptrix, place: World, tmp_path: Path
) -> None:
    done = compose("within", "--parallel", "math_reasoning=1,code_generation=0.001", conflict_limit=1.0)
    told = said(done)["conflicts"]
    assert told["lost"].keys() == set(PARTS)
    assert told["score"] == pytest.approx(sum(told["lost"].values()) / 2)
    assert 0 < told["score"] < 1
    assert (told["limit"], told["before"], told["layout"]) == (1.0, None, "float32")
    assert "warning" not in done.stderr
    signed = json.loads((place.shipped / "within" / "metadata.json").read_text())
    assert signed["conflicts"] == told
    shown = adaptrix("show", "within", "--local", "--config", tmp_path / "settings.yaml")
    assert f"{told['score']:.2f} of its adapters' right answers expected to be lost" in shown.stdout.replace("\n", " ")
    again = said(compose("changed", "--parallel", "math_reasoning=1,code_generation=0.002", conflict_limit=1.0))
    assert again["conflicts"]["score"] != told["score"]


def test_over_the_limit_it_is_warned_of_by_default_and_made(compose: Callable[..., Result]) -> None:
    done = compose("warned", *HALVES, conflict_limit=0.0)
    assert said(done)["conflicts"]["limit"] == 0.0
    assert "more than composition.conflict_limit 0" in done.stderr.replace("\n", " ")
    assert all(part in done.stderr.replace("\n", " ") for part in PARTS)


def test_a_refused_composition_is_not_written(compose: Callable[..., Result], place: World) -> None:
    done = compose("refused", *HALVES, conflict_limit=0.0, over_limit="refuse")
    assert done.exit_code == 1
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert error["code"] == "mix_conflict"
    assert all(word in error["message"] for word in (*PARTS, "conflict_limit 0", "sequential"))
    assert not (place.shipped / "refused").exists()


def test_weights_are_reduced_where_that_is_wanted(compose: Callable[..., Result]) -> None:
    made = said(compose("reduced", *HALVES, conflict_limit=0.0, over_limit="resolve"))
    assert made["conflicts"]["before"] == {"math_reasoning": 0.5, "code_generation": 0.5}
    signed = json.loads((Path(made["directory"]) / "metadata.json").read_text())
    weights = signed["composition"]["parallel"]
    assert weights["math_reasoning"] == 0.5
    assert 0 <= weights["code_generation"] < 0.5


@pytest.mark.parametrize("method", ["ties", "dare"])
def test_one_merged_adapter_takes_its_place_where_that_is_wanted(
    compose: Callable[..., Result], adaptrix: Adaptrix, tmp_path: Path, method: str
) -> None:
    made = said(compose(f"by-{method}", *HALVES, conflict_limit=0.0, over_limit="resolve", resolve_by=method))
    assert (made["merged"], made["conflicts"]) == (True, None)
    metadata = json.loads((Path(made["directory"]) / "metadata.json").read_text())
    assert metadata["rank"] >= 1
    assert len(metadata["performance_metrics"]["conflict"]) == 2
    options = ("--model", f"by-{method}", "--max-tokens", 4, "--local", "--json")
    asked = adaptrix("query", "hi", *options, "--config", tmp_path / "settings.yaml")
    assert asked.exit_code == 0, asked.output


def test_what_cannot_or_shall_not_be_measured_is_made_as_it_is(compose: Callable[..., Result], tmp_path: Path) -> None:
    assert said(compose("off", *HALVES, over_limit="off"))["conflicts"] is None
    assert said(compose("unmeasured", *HALVES, "--unmeasured", conflict_limit=0.0))["conflicts"] is None
    document = tmp_path / "composition.json"
    document.write_text(json.dumps({"sequential": [p.partition("@")[0] for p in PARTS]}))
    assert said(compose("steps", "--file", document, conflict_limit=0.0))["conflicts"] is None
    document.write_text(json.dumps({"parallel": [p.partition("@")[0] for p in PARTS], "combine": "gate"}))
    gated = compose("gated", "--file", document, conflict_limit=0.0)
    assert said(gated)["conflicts"] is None
    assert "not measured" in gated.stderr


def test_layers_of_a_mix_are_measured_and_left_as_they_are(compose: Callable[..., Result], tmp_path: Path) -> None:
    document = tmp_path / "composition.json"
    parts = [{"adapter": "math_reasoning", "layers": [0, 2]}, {"adapter": "code_generation", "layers": [2, 4]}]
    document.write_text(json.dumps({"hierarchical": parts}))
    for method in ("down_weight", "ties"):
        name = f"layered-{method}".replace("_", "-")
        options = {"conflict_limit": 0.0, "over_limit": "resolve", "resolve_by": method}
        done = compose(name, "--file", document, **options)
        assert said(done)["conflicts"]["before"] is None
        assert "one weight each" in done.stderr.replace("\n", " ")
