"""`adaptrix calibrate` says what is wrong before it loads a model; `show` tells what thresholds were measured to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from adaptrix_core.adapters.trust.keys import generate_key_pair
from adaptrix_core.cli.main import cli


@pytest.fixture
def key(tmp_path: Path) -> str:
    generate_key_pair(tmp_path / "own.key", tmp_path / "own.pub")
    return str(tmp_path / "own.key")


def refused(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What the command says; it must not get as far as a model."""
    monkeypatch.setattr("adaptrix_core.engine.build.build_engine", None)
    done = CliRunner().invoke(cli, ["calibrate", *arguments])
    assert done.exit_code in (1, 2), done.output
    return done.output


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "no private key" in refused(monkeypatch, "math_reasoning", "--key", str(tmp_path / "none.key"))


def test_a_scorer_needs_data(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--scorer needs --data" in refused(monkeypatch, "math_reasoning", "--scorer", "exact")


def test_an_unknown_estimator_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    said = refused(monkeypatch, "math_reasoning", "--key", key, "--estimator", "logprob_sun")
    assert "did you mean 'logprob_sum'" in said


def test_an_unknown_adapter_is_refused(monkeypatch: pytest.MonkeyPatch, key: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert "math_reasoning" in refused(monkeypatch, "math_reasonin", "--key", key, "--out", out)


@pytest.mark.parametrize(
    "name",
    ["tool_use", "base", "math_reasoning*0.7+code_generation*0.3", "math_reasoning*0.5", "math_reasoning@1.0.0[early]"],
)
def test_who_has_no_family_needs_one_or_data(
    monkeypatch: pytest.MonkeyPatch, key: str, tmp_path: Path, name: str
) -> None:
    said = refused(monkeypatch, name, "--key", key, "--out", str(tmp_path / "out"))
    assert f"'{name}' is no family of problems; name one by --family" in said
    assert "give --data FILE" in said


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("auto", "leaves it to the router"),
        ("vote(math_reasoning,code_generation)", "comes to more than one mix"),
        ("math_reasoning*0.5+code_generatio", "no adapter 'code_generatio'"),
        ("math_reasoning*", "is not a weight"),
    ],
)
def test_who_is_not_one_mix_of_known_adapters_is_refused(
    monkeypatch: pytest.MonkeyPatch, key: str, tmp_path: Path, name: str, complaint: str
) -> None:
    asked = ("--family", "math_reasoning", "--key", key, "--out", str(tmp_path / "out"))
    assert complaint in refused(monkeypatch, name, *asked)


def test_a_family_and_data_are_not_both_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused(monkeypatch, "base", "--family", "math_reasoning", "--data", "some.jsonl")
    assert "--family or --data, not both" in said


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        ("", "has an empty name"),
        ("again,,base", "has an empty name"),
        ("again,abstain", "'abstain' gives no answer that could be right"),
        ("again,again", "name 'again' once"),
        ("again,base,again,base,base", "these are 5 fallbacks"),
        ("again,logical_reasonin", "no adapter 'logical_reasonin'"),
    ],
)
def test_a_policy_that_cannot_be_measured_is_refused(
    monkeypatch: pytest.MonkeyPatch, key: str, tmp_path: Path, policy: str, complaint: str
) -> None:
    asked = ("math_reasoning", "--key", key, "--out", str(tmp_path / "out"), "--policy", policy)
    assert complaint in " ".join(refused(monkeypatch, *asked).split())


def test_a_directory_that_is_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, key: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refused(monkeypatch, "math_reasoning", "--key", key, "--out", str(tmp_path / "file" / "in"))
    assert "is a file, not a directory" in said


def test_show_tells_what_thresholds_do(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(cli, ["show", "math_reasoning", "--local"])
    assert done.exit_code == 0, done.output
    assert "AUROC 0." in done.output
    assert "min_confidence" in done.output
    assert "100%" in done.output
