"""`conflicts` and `merge`: scores of a mix by weights and answers, and one adapter made from several."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import yaml
from click.testing import Result

from adaptrix_core.adapters.trust.keys import read_trusted_keys
from adaptrix_core.cli.authoring.merge import METHOD_NAMES
from adaptrix_core.composition.conflicts.merging import Method
from adaptrix_core.composition.conflicts.signed_mix import read_measurement
from adaptrix_core.config import load_settings
from adaptrix_core.engine.build import build_engine
from adaptrix_core.errors import Conflict
from tests.serving.tiny import make_world

Adaptrix = Callable[..., Result]
PAIR = ("math_reasoning", "code_generation")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))


def test_a_mix_is_judged_by_weights_and_by_answers(adaptrix: Adaptrix, settings_file: Path) -> None:
    done = adaptrix("conflicts", *PAIR, "--weights", "0.7,0.3", "--json", "--config", settings_file)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["mix"] == {"math_reasoning": 0.7, "code_generation": 0.3}
    (pair,) = found["pairs"]
    assert pair["adapters"] == list(PAIR)
    assert pair["points"] > 0
    assert -1 <= pair["cosine"] <= 1
    assert found["answers"]["effects"].keys() == found["displacement"].keys() == set(PAIR)
    assert found["displacement"]["math_reasoning"] < found["displacement"]["code_generation"]
    shown = adaptrix("conflicts", *PAIR, "--weights", "0.7,0.3", "--config", settings_file)
    assert f"conflict of the mix: {found['answers']['score']:.2f} (0 none, 1 all right answers lost)" in shown.stdout


def test_a_signed_measurement_is_what_engines_go_by(adaptrix: Adaptrix, tmp_path: Path) -> None:
    world = make_world(tmp_path)
    settings = world.settings(
        router={"enabled": False},
        composition={"conflicts_dir": str(tmp_path / "conflicts"), "conflict_limit": 0.0, "over_limit": "refuse"},
    )
    settings_file = tmp_path / "settings.yaml"
    settings_file.write_text(yaml.safe_dump(settings))
    done = adaptrix("conflicts", *PAIR, "--sign", "--key", world.private_key, "--json", "--config", settings_file)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert Path(found["kept"]).parent == tmp_path / "conflicts"
    measured = read_measurement(Path(found["kept"]), list(read_trusted_keys(world.keys)))
    assert {part.identity: part.reduced for part in measured.parts} == found["reduced"]
    assert measured.score == pytest.approx(found["answers"]["score"])
    engine = build_engine(load_settings(settings))
    with pytest.raises(Conflict, match="math_reasoning") as refused:
        engine.generate(["hi"], dict.fromkeys(PAIR, 0.5))
    assert refused.value.code == "mix_conflict"
    shutil.rmtree(tmp_path / "cache")
    again = adaptrix("conflicts", *PAIR, "--sign", "--key", world.private_key, "--json", "--config", settings_file)
    assert again.exit_code == 0, again.output  # what is refused can still be measured


def test_signing_needs_a_key_and_answers(adaptrix: Adaptrix, tmp_path: Path) -> None:
    for options, complaint in ((("--key", tmp_path / "no.key"), "needs --sign"), (("--sign", "--no-answers"), "leave")):
        done = adaptrix("conflicts", *PAIR, *options)
        assert done.exit_code == 2
        assert complaint in done.stderr


def test_merged_adapters_are_packages_like_others(adaptrix: Adaptrix, tmp_path: Path) -> None:
    world = make_world(tmp_path)
    settings_file = tmp_path / "settings.yaml"
    settings_file.write_text(yaml.safe_dump(world.settings()))
    options = ("--config", settings_file, "--rank", 2, "--sign", "--key", world.private_key, "--json")
    done = adaptrix("merge", *PAIR, "--name", "both", "--method", "linear", *options)
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert (made["identity"], made["rank"]) == ("both@1.0.0", 2)
    verified = adaptrix("verify", made["directory"], "--config", settings_file, "--base", world.base_dir, "--json")
    assert verified.exit_code == 0, verified.output
    again = adaptrix("merge", *PAIR, "--name", "both", "--method", "dare_ties", *options)
    assert again.exit_code == 1
    assert json.loads(again.stderr)["error"]["code"] == "adapter_exists"
    said = ("--description", "sums and code", "--route-example", "Add up in C.", "--version", "2")
    third = json.loads(adaptrix("merge", *PAIR, "--name", "both", "--method", "linear", *said, *options).stdout)
    for directory, description in ((made["directory"], "Merged by linear."), (third["directory"], "sums and code")):
        metadata = json.loads((Path(directory) / "metadata.json").read_text())
        assert metadata["description"].startswith(description)
        assert ("Add up in C." in metadata["routing_examples"]) == (directory == third["directory"])


@pytest.mark.parametrize("command", [("conflicts",), ("merge", "--name", "x")])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["math_reasoning"], "two or more"),
        (["math_reasoning", "math_reasoning"], "two or more different"),
        ([*PAIR, "--weights", "a,b"], "0.7,0.3"),
        ([*PAIR, "--weights", "1"], "1 numbers for 2 adapters"),
    ],
)
def test_what_is_no_mix_is_refused_at_once(
    adaptrix: Adaptrix, command: tuple[str, ...], arguments: list[str], said: str
) -> None:
    done = adaptrix(*command, *arguments)
    assert done.exit_code in (1, 2)
    assert said in done.stderr


def test_the_command_offers_every_method() -> None:
    assert get_args(Method) == METHOD_NAMES
