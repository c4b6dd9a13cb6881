"""`train`: what is wrong is said before anything slow; what has ended is published without training it again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import Result

from adaptrix_core.adapters import generate_key_pair
from adaptrix_core.base import BaseModelManager
from adaptrix_core.cli.authoring.training import EXAMPLES_OF_DATA, train
from adaptrix_core.errors import BaseModelError
from adaptrix_core.places import shipped_adapters
from adaptrix_core.training.config import TrainConfig
from tests.serving.tiny import save_tiny_base

Adaptrix = Callable[..., Result]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base model, forty pairs to learn, and a signing key."""
    place = tmp_path_factory.mktemp("train")
    save_tiny_base(place / "base")
    rows = [{"prompt": f"What is {i} + 1?", "completion": f"{i + 1}"} for i in range(40)]
    (place / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    generate_key_pair(place / "me.key", place / "trusted" / "me.pub")
    return place


def arguments(place: Path, output: Path, *more: object) -> list[object]:
    small = ("--layers", "1,2", "--rank", 2, "--epochs", 1, "--batch-size", 8, "--threads", 1)
    return [
        "train",
        "sums",
        "--base",
        place / "base",
        "--data",
        place / "pairs.jsonl",
        "--output",
        output,
        *small,
        *more,
    ]


@pytest.fixture
def no_base_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loads a base model has not checked everything first."""

    def loaded(self: object) -> None:
        raise AssertionError("a base model was loaded first")

    monkeypatch.setattr("adaptrix_core.base.manager.BaseModelManager.load_model", loaded)


def not_a_key(place: Path) -> Path:
    (place / "not.key").write_text("-----BEGIN NOTHING-----\n")
    return place / "not.key"


@pytest.mark.usefixtures("no_base_is_loaded")
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda p: ["--publish", p / "out", "--sign", "--key", p / "none.key"], "no private key"),
        (lambda p: ["--publish", p / "out", "--sign", "--key", not_a_key(p)], "not an unencrypted elliptic-curve"),
        (lambda p: ["--publish", p / "out", "--version", "v1"], "version = 'v1': one to three whole numbers"),
        (lambda p: ["--publish", p / "pairs.jsonl"], "is a file"),
        (lambda p: ["--publish", "/proc"], "cannot be written to"),
        (lambda p: ["--output", "/proc/runs"], "cannot be written to"),
        (lambda p: ["--data", p / "pears.jsonl"], "did you mean 'pairs.jsonl'?"),
        (lambda p: ["--data", "gms8k"], "did you mean 'gsm8k'?"),
        (lambda p: ["--rank", 9999], "rank is 9999"),
        (lambda p: ["--modules", "q_proj"], "modules is"),
    ],
)
def test_everything_is_checked_before_the_base_is_loaded(
    adaptrix: Adaptrix, place: Path, tmp_path: Path, change: Callable[[Path], list[object]], complaint: str
) -> None:
    done = adaptrix(*arguments(place, tmp_path / "run", *change(place)))
    assert done.exit_code in (1, 2), done.output
    assert complaint in done.output.replace("\n", " ")
    assert "Traceback" not in done.output


@pytest.mark.usefixtures("no_base_is_loaded")
@pytest.mark.parametrize("name", ["auto", "base", "Sums", "a b"])
def test_a_name_that_cannot_be_served_is_refused_at_once(
    adaptrix: Adaptrix, place: Path, tmp_path: Path, name: str
) -> None:
    done = adaptrix("train", name, *arguments(place, tmp_path / "run")[2:])
    assert done.exit_code == 1
    assert f"name is {name!r}" in done.stderr


@pytest.mark.usefixtures("no_base_is_loaded")
def test_another_signers_name_is_refused_at_once(adaptrix: Adaptrix, place: Path, tmp_path: Path) -> None:
    shutil.copytree(shipped_adapters() / "math_reasoning", tmp_path / "out" / "math_reasoning")
    sign = ("--publish", tmp_path / "out", "--version", "9.9.9", "--sign", "--key", place / "me.key")
    done = adaptrix("train", "math_reasoning", *arguments(place, tmp_path / "run", *sign)[2:])
    assert done.exit_code == 1
    assert "the name 'math_reasoning' belongs to key" in done.stderr


@pytest.mark.usefixtures("no_base_is_loaded")
def test_a_bad_line_is_named_at_once(adaptrix: Adaptrix, place: Path, tmp_path: Path) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text((place / "pairs.jsonl").read_text() + '{"prompt": "x"}\n')
    done = adaptrix(*arguments(place, tmp_path / "run", "--data", data))
    assert done.exit_code == 1
    assert "bad.jsonl line 41" in done.stderr
    assert "[invalid_data]" in done.stderr


@pytest.mark.parametrize(("option", "loaded"), [(True, "base"), (False, "other")])
def test_the_base_is_that_of_the_settings_unless_one_is_named(
    adaptrix: Adaptrix, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: bool, loaded: str
) -> None:
    asked: list[str] = []

    def load(manager: BaseModelManager) -> None:
        asked.append(manager.model_name)
        raise BaseModelError("enough")

    monkeypatch.setattr("adaptrix_core.base.manager.BaseModelManager.load_model", load)
    (tmp_path / "other").mkdir()
    (tmp_path / "adapters").mkdir()
    settings = tmp_path / "settings.yaml"
    adapters = f"{{dir: {tmp_path}/adapters, trusted_keys_dir: {place}/trusted}}"
    settings.write_text(f"base: {{model: {tmp_path}/other}}\nadapters: {adapters}\n")
    command = ["train", "sums", "--data", place / "pairs.jsonl", "--output", tmp_path / "run", "--config", settings]
    assert adaptrix(*command, *(["--base", place / "base"] if option else [])).exit_code == 1
    assert [Path(name).name for name in asked] == [loaded]


@pytest.mark.integration
def test_a_finished_run_is_published_without_training_it_again(
    adaptrix: Adaptrix, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = arguments(place, tmp_path / "run", "--held-out", "0.1")
    trained = adaptrix(*command, "--json")
    assert trained.exit_code == 0, trained.output
    report = json.loads(trained.stdout)
    assert (report["num_examples"], report["num_held_out"]) == (36, 4)
    assert [entry["steps"] for entry in report["validation"]] == [0, 5]

    def train_again(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("adaptrix_core.training.trainer._Run.step", train_again)
    publishing = ("--publish", tmp_path / "adapters", "--license", "MIT", "--sign", "--key", place / "me.key")
    published = adaptrix(*command, *publishing)
    assert published.exit_code == 0, published.output
    assert "nothing was trained" in published.stdout
    directory = tmp_path / "adapters" / "sums"
    verified = adaptrix("verify", directory, "--trusted-keys", place / "trusted", "--base", place / "base", "--json")
    assert verified.exit_code == 0, verified.output
    assert json.loads(verified.stdout)["warnings"] == []

    metadata = json.loads((directory / "metadata.json").read_text())
    assert metadata["license"] == "MIT"
    held_out = (tmp_path / "run" / "held_out.jsonl").read_text()
    assert len(set(metadata["routing_examples"])) == EXAMPLES_OF_DATA
    assert not any(json.dumps(text) in held_out for text in metadata["routing_examples"])
    assert metadata["alpha"] == 4.0
    assert metadata["training"]["data"]["name"] == "pairs.jsonl"
    for text in strings_in(metadata):
        assert not Path(text).is_absolute(), text
        assert str(place) not in text
    for file in directory.iterdir():
        assert str(tmp_path.parent).encode() not in file.read_bytes(), file.name

    again = adaptrix(*command, *publishing, "--examples-of-data", 0)
    assert again.exit_code == 0, again.output  # the same weights: nothing is lost
    assert json.loads((directory / "metadata.json").read_text())["routing_examples"] == []
    imported = adaptrix("import", tmp_path / "run", "--base", place / "base", "--adapters", tmp_path / "in", "--json")
    assert imported.exit_code == 0, imported.output
    assert json.loads(imported.stdout)["warnings"] == []


@pytest.mark.integration
def test_a_version_that_is_there_is_not_overwritten_unasked(adaptrix: Adaptrix, place: Path, tmp_path: Path) -> None:
    publishing = ("--publish", tmp_path / "adapters")
    assert adaptrix(*arguments(place, tmp_path / "one", *publishing)).exit_code == 0
    before = (tmp_path / "adapters" / "sums" / "metadata.json").read_bytes()
    other = arguments(place, tmp_path / "two", *publishing, "--seed", 1)
    refused = adaptrix(*other)
    assert refused.exit_code == 1
    assert "[adapter_exists]" in refused.stderr
    assert not (tmp_path / "two").exists(), "refused before anything was trained"
    assert (tmp_path / "adapters" / "sums" / "metadata.json").read_bytes() == before
    further = adaptrix(*other, "--version", "1.1.0")
    assert further.exit_code == 0, further.output
    assert (tmp_path / "adapters" / "sums@1.1.0").is_dir()
    assert adaptrix(*other, "--overwrite").exit_code == 0
    assert (tmp_path / "adapters" / "sums" / "metadata.json").read_bytes() != before


@pytest.mark.integration
def test_one_interrupt_keeps_what_was_done_and_the_same_command_goes_on(
    adaptrix: Adaptrix, place: Path, tmp_path: Path
) -> None:
    command = arguments(place, tmp_path / "run", "--epochs", 400)
    process = subprocess.Popen(
        [sys.executable, "-m", "adaptrix_core.cli.main", *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("step 3/"):
            process.send_signal(signal.SIGINT)
            break
    said.append(process.stderr.read())
    assert process.wait() == 1
    text = "".join(said)
    assert "the same command goes on from there" in text.replace("\n", " ")
    assert "Traceback" not in text
    done = adaptrix(*arguments(place, tmp_path / "run", "--epochs", 4))
    assert done.exit_code == 0, done.output
    assert "resumed after step" in done.stdout


def strings_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings_in(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings_in(item)]
    return [value] if isinstance(value, str) else []


def test_the_help_says_the_defaults_of_the_configuration() -> None:
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    said = {option.name: option.help or "" for option in train.params if isinstance(option, click.Option)}
    for name in ("rank", "examples", "held_out", "epochs", "batch_size", "learning_rate", "seed"):
        assert f"[default: {defaults[name]:g}]" in said[name]
