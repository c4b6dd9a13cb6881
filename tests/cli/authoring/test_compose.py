"""`compose`: a composition is made of signed adapters, verified, shown and asked by its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from tests.serving.tiny import World, make_world

Adaptrix = Callable[..., Result]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("composing"))


@pytest.fixture(scope="module")
def config(place: World) -> tuple[object, ...]:
    path = place.root / "settings.yaml"
    path.write_text(yaml.safe_dump(place.settings(router={"enabled": False})))
    return ("--config", path)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))


def composed(adaptrix: Adaptrix, place: World, config: tuple[object, ...], name: str, *options: object) -> Result:
    return adaptrix("compose", name, *options, "--sign", "--key", place.private_key, "--json", *config)


def test_a_composition_is_made_verified_shown_and_asked(
    adaptrix: Adaptrix, place: World, config: tuple[object, ...]
) -> None:
    weights = "math_reasoning=0.7,code_generation@1.0.0=0.3"
    made = composed(adaptrix, place, config, "both", "--parallel", weights, "--description", "Both", "--license", "MIT")
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout)
    assert facts["identity"] == "both@1.0.0"
    assert list(facts["parts"]) == ["math_reasoning@1.0.0", "code_generation@1.0.0"]
    verified = adaptrix("verify", facts["directory"], "--json", *config)
    assert json.loads(verified.stdout)["signer"] == "tests", verified.output
    shown = adaptrix("show", "both", "--local", *config)
    assert shown.exit_code == 0, shown.output
    assert "math_reasoning@1.0.0, code_generation@1.0.0" in shown.stdout
    options = ("--max-tokens", 6, "--temperature", 0, "--local", "--json", *config)
    asked = [
        json.loads(adaptrix("query", "hi", "--model", model, *options).stdout)
        for model in ("both", "math_reasoning*0.7+code_generation*0.3")
    ]
    assert asked[0]["text"] == asked[1]["text"]
    assert asked[0]["adapter"] == "both"


def test_any_other_composition_comes_from_a_file(
    adaptrix: Adaptrix, place: World, config: tuple[object, ...], tmp_path: Path
) -> None:
    document = tmp_path / "composition.json"
    document.write_text(json.dumps({"parallel": ["math_reasoning", "logical_reasoning"]}))
    assert composed(adaptrix, place, config, "filed", "--file", document).exit_code == 0
    document.write_text("[]")
    done = composed(adaptrix, place, config, "filed2", "--file", document)
    assert done.exit_code == 1
    assert "holds no composition" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (("--parallel", "math_reasonin=1,code_generation"), 1, "math_reasoning"),
        (("--parallel", "math_reasoning=much"), 2, "is not a weight"),
        (("--parallel", "math_reasoning,math_reasoning"), 2, "a name of its own"),
        (("--parallel", "math_reasoning=nan"), 1, "finite number"),
        ((), 2, "--file"),
    ],
)
def test_what_cannot_be_composed_is_refused_and_nothing_is_written(
    adaptrix: Adaptrix, place: World, config: tuple[object, ...], options: tuple[str, ...], code: int, complaint: str
) -> None:
    done = composed(adaptrix, place, config, "wrong", *options)
    assert done.exit_code == code, done.output
    assert complaint in done.stderr
    assert not (place.shipped / "wrong").exists()


def test_verify_tells_which_part_of_a_composition_fails(
    adaptrix: Adaptrix, place: World, config: tuple[object, ...], tmp_path: Path
) -> None:
    document = tmp_path / "steps.json"
    document.write_text(json.dumps({"sequential": ["math_reasoning", "halves"]}))
    halves = "code_generation=0.5,logical_reasoning=0.5"
    assert composed(adaptrix, place, config, "halves", "--parallel", halves).exit_code == 0
    made = json.loads(composed(adaptrix, place, config, "steps", "--file", document).stdout)

    def verified(code: int) -> dict[str, list[str]]:
        done = adaptrix("verify", made["directory"], "--json", *config)
        assert done.exit_code == code, done.output
        parts = json.loads(done.stdout)["parts"]
        assert {part["identity"]: part["package_digest"] for part in parts}.items() >= made["parts"].items()
        return {part["identity"]: [fault["code"] for fault in part["faults"]] for part in parts}

    names = [f"{name}@1.0.0" for name in ("math_reasoning", "halves", "code_generation", "logical_reasoning")]
    assert verified(0) == {name: [] for name in names}
    elsewhere = tmp_path / "elsewhere"
    shutil.move(place.shipped / "code_generation", elsewhere)
    try:
        assert verified(1) == {**{name: [] for name in names}, "code_generation@1.0.0": ["missing_part"]}
        place.write_adapter(place.shipped, "code_generation", seed=99)
        assert verified(1)["code_generation@1.0.0"] == ["changed_part"]
        (place.shipped / "code_generation" / "signature.json").unlink()
        assert verified(1)["code_generation@1.0.0"] == ["changed_part", "signature_missing"]
        said = adaptrix("verify", made["directory"], *config).stdout
        assert "code_generation@1.0.0 of halves@1.0.0" in said
        assert "would be refused" in said
    finally:
        shutil.rmtree(place.shipped / "code_generation")
        shutil.move(elsewhere, place.shipped / "code_generation")


def test_unsigned_says_what_comes_next(adaptrix: Adaptrix, config: tuple[object, ...]) -> None:
    done = adaptrix("compose", "plain", "--parallel", "math_reasoning", *config)
    assert done.exit_code == 0, done.output
    assert "adaptrix sign" in done.stdout
