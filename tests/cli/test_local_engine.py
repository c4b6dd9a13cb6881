"""The commands with --local: a real engine in this process, on a tiny model, its adapters signed and verified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from adaptrix_core.adapters import AdapterManager
from adaptrix_core.routing.prompts import suggested_cards
from tests.serving.servers import PROJECT
from tests.serving.tiny import World

Adaptrix = Callable[..., Result]


@pytest.fixture
def local(settings_file: Path) -> tuple[object, ...]:
    return ("--local", "--config", settings_file)


def answer(adaptrix: Adaptrix, local: tuple[object, ...], model: str, *more: object) -> dict[str, object]:
    asked = ("query", "What is 17 + 25?", "--model", model, "--max-tokens", 8, "--temperature", 0)
    done = adaptrix(*asked, "--json", *more, *local)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_adapters_and_mixes_change_the_answer_and_are_named(adaptrix: Adaptrix, local: tuple[object, ...]) -> None:
    base = answer(adaptrix, local, "base")
    math = answer(adaptrix, local, "math_reasoning")
    mix = answer(adaptrix, local, "math_reasoning*0.5+code_generation*-0.5")
    assert base["adapter"] == "base"
    assert base["digest"] is None
    assert math["adapter"] == "math_reasoning"
    assert len(str(math["digest"])) == 64
    assert mix["adapter"] == "math_reasoning*0.5+code_generation*-0.5"
    assert len({str(base["text"]), str(math["text"]), str(mix["text"])}) == 3


def test_an_answer_is_streamed_as_text_and_who_answered_goes_to_stderr(
    adaptrix: Adaptrix, local: tuple[object, ...]
) -> None:
    whole = answer(adaptrix, local, "math_reasoning")["text"]
    asked = ("query", "What is 17 + 25?", "--model", "math_reasoning", "--max-tokens", 8, "--temperature", 0)
    done = adaptrix(*asked, *local)
    assert done.stdout == f"{whole}\n"
    assert "[math_reasoning ·" in done.stderr


def test_a_composition_answers_and_its_steps_are_told(adaptrix: Adaptrix, local: tuple[object, ...]) -> None:
    first = answer(adaptrix, local, "math_reasoning")
    steps = {"sequential": ["math_reasoning", "code_generation"], "plan": ["What is 17 + 25?", "Write {0}."]}
    composed = answer(adaptrix, local, "auto", "--compose", json.dumps(steps))
    assert composed["steps"] == [{"adapter": "math_reasoning", "text": first["text"]}]
    assert composed["adapter"] == "sequential(math_reasoning,code_generation)"
    voted = answer(adaptrix, local, "vote(math_reasoning,code_generation*2)")
    assert voted["text"] == answer(adaptrix, local, "code_generation")["text"]
    refused = adaptrix("query", "hi", "--compose", "[1]", *local)
    assert (refused.exit_code, "is not an object" in refused.output) == (2, True)


@pytest.mark.slow
def test_auto_asks_the_router_as_route_explains_it(adaptrix: Adaptrix, local: tuple[object, ...]) -> None:
    routed = adaptrix("route", "What is 17 + 25?", "--json", *local)
    assert routed.exit_code == 0, routed.output
    decision = json.loads(routed.stdout)
    assert decision["adapter"] == "math_reasoning"
    assert set(decision["scores"]) == {"math_reasoning", "code_generation", "logical_reasoning"}
    auto = answer(adaptrix, local, "auto")
    assert auto["adapter"] == "math_reasoning"
    assert auto["route_score"] == decision["score"] == decision["scores"]["math_reasoning"]
    assert auto["text"] == answer(adaptrix, local, "math_reasoning")["text"]


@pytest.mark.slow
def test_a_label_moves_the_threshold_of_later_commands(adaptrix: Adaptrix, local: tuple[object, ...]) -> None:
    question = "Implement clamp(x, low, high)."
    taken = json.loads(adaptrix("route", question, "--right", "code_generation", "--json", *local).stdout)
    assert (taken["labels"], taken["right"]) == (1, "code_generation")
    shown = adaptrix("route", question, "--right", "code_generation", *local)
    assert "labels of yours that count: 2" in shown.stdout
    refused = adaptrix("route", question, "--right", "code_generatio", *local)
    assert refused.exit_code == 1
    assert "did you mean 'code_generation'" in refused.stderr
    explained = adaptrix("route", question, *local)
    assert "signal embedding, weight 0.5: " in explained.stdout


@pytest.mark.slow
def test_a_text_is_learnt_where_that_is_asked_for_and_somebody_is_right(
    adaptrix: Adaptrix, local: tuple[object, ...]
) -> None:
    question = "Tot up what I owe the baker."
    taken = json.loads(adaptrix("route", question, "--right", "math_reasoning", "--learn", "--json", *local).stdout)
    assert taken["learnt"] >= 1
    shown = adaptrix("route", question, "--right", "math_reasoning", "--learn", *local)
    assert f"learnt with their text: {taken['learnt']}" in shown.stdout
    refused = adaptrix("route", question, "--learn", *local)
    assert (refused.exit_code, "--learn needs --right" in refused.output) == (2, True)


@pytest.mark.slow
def test_by_the_setting_a_compound_question_is_divided_and_route_shows_who_gets_which_step(
    adaptrix: Adaptrix, settings_file: Path, tmp_path: Path
) -> None:
    settings = yaml.safe_load(settings_file.read_text())
    settings.setdefault("router", {})["divide"] = True
    dividing = tmp_path / "dividing.yaml"
    dividing.write_text(yaml.safe_dump(settings))
    local = ("--local", "--config", dividing)
    question = "What is 17 + 25? Then write a Python function that adds that number to a number."
    steps = json.loads(adaptrix("route", question, "--json", *local).stdout)["plan"]
    assert [step["question"] for step in steps] == [
        "What is 17 + 25?", "Write a Python function that adds {0} to a number.",
    ]  # fmt: skip
    assert "step 1: 'What is 17 + 25?' goes to math_reasoning" in adaptrix("route", question, *local).stdout
    done = adaptrix("query", question, "--max-tokens", 4, "--json", *local)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["adapter"] == f"sequential({','.join(step['adapter'] for step in steps)})"


@pytest.mark.slow
def test_where_the_base_answers_the_score_is_the_best_adapters(adaptrix: Adaptrix, local: tuple[object, ...]) -> None:
    question = "Recommend a quiet seaside town for a short holiday."
    decision = json.loads(adaptrix("route", question, "--json", *local).stdout)
    done = adaptrix("query", question, "--max-tokens", 2, "--json", *local)
    assert done.exit_code == 0, done.output
    auto = json.loads(done.stdout)
    assert auto["adapter"] == decision["adapter"] == "base"
    assert auto["route_score"] == decision["score"] == max(decision["scores"].values())
    assert decision["confidence"] == pytest.approx(1 - decision["score"])


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("math_reasonin", "did you mean 'math_reasoning'"),
        ("math_reasoning*x", "'x' is not a weight"),
        ("math_reasoning+math_reasoning", "twice"),
    ],
)
def test_a_model_that_is_not_there_exits_1_and_says_what_is(
    adaptrix: Adaptrix, local: tuple[object, ...], model: str, complaint: str
) -> None:
    done = adaptrix("query", "hi", "--model", model, *local)
    assert done.exit_code == 1
    assert complaint in done.stderr


def test_a_file_of_prompts_becomes_json_lines_in_order(
    adaptrix: Adaptrix, local: tuple[object, ...], tmp_path: Path
) -> None:
    prompts, output = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    lines = [{"prompt": "one", "model": "base"}, {"prompt": "two", "model": "nobody"}, {"prompt": "three"}]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = adaptrix(
        "query", "--file", prompts, "--output", output, "--model", "code_generation", "--max-tokens", 4, *local
    )
    records = [json.loads(line) for line in output.read_text().splitlines()]
    assert done.exit_code == 1, "one of them failed"
    assert "2 answered, 1 failed" in done.stderr
    assert [record["index"] for record in records] == [0, 1, 2]
    assert records[1]["error"]["code"] == "adapter_not_found"
    assert records[2]["adapter"] == "code_generation"
    assert records[2]["usage"]["completion_tokens"] <= 4


def test_a_conversation_survives_commands_and_mistakes(adaptrix: Adaptrix, local: tuple[object, ...]) -> None:
    lines = "/help\n/adapters\nhello\n/use nobody\nhello\n/use math_reasoning\nhello\n/bogus\n/quit\nnot read\n"
    done = adaptrix("query", "--model", "base", "--max-tokens", 4, *local, input=lines)
    assert done.exit_code == 0, done.output
    assert [done.stderr.count(f"[{who} ·") for who in ("base", "math_reasoning")] == [2, 1]
    assert "no adapter 'nobody' in the directory '" in done.stderr
    assert "no command '/bogus'" in done.stderr
    assert "math_reasoning@1.0.0  Solves arithmetic" in done.stderr


def test_list_shows_digest_signer_and_description_without_starting_an_engine(
    adaptrix: Adaptrix, local: tuple[object, ...]
) -> None:
    done = adaptrix("list", "--json", *local)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) == {"math_reasoning", "code_generation", "logical_reasoning"}
    assert rows["math_reasoning"]["signer"] == "tests"
    assert rows["math_reasoning"]["residency"] == {"local": "disk"}
    assert json.loads(adaptrix("active", "--json", *local).stdout) == []


def test_show_tells_what_an_adapter_says_about_itself_and_who_signed_it(
    adaptrix: Adaptrix, local: tuple[object, ...], world: World
) -> None:
    done = adaptrix("show", "math_reasoning", *local)
    assert done.exit_code == 0, done.output
    facts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line[:1].isalpha() and " " in line)
    assert facts["layers"] == "1, 2"
    assert facts["rank"] == "4, alpha 4, at 4 points"
    assert facts["signer"] == "tests"
    assert facts["licence"] == "unspecified"
    assert "  What is 17 + 25?" in done.stdout
    document = json.loads(adaptrix("show", "math_reasoning@1.0.0", "--json", *local).stdout)
    assert document["size_bytes"] == sum(f.stat().st_size for f in (world.shipped / "math_reasoning").iterdir())
    unknown = adaptrix("show", "math_reasonin", *local)
    assert unknown.exit_code == 1
    assert "did you mean 'math_reasoning'" in unknown.stderr


MIX = "math_reasoning*0.7+code_generation*0.3"


@pytest.mark.parametrize(("name", "parts"), [("base", []), (MIX, ["math_reasoning@1.0.0", "code_generation@1.0.0"])])
def test_show_has_a_card_of_the_base_model_and_of_mixes(
    adaptrix: Adaptrix, local: tuple[object, ...], name: str, parts: list[str]
) -> None:
    card = json.loads(adaptrix("show", name, "--json", *local).stdout)
    assert (card["name"], [part["name"] for part in card["parts"]], card["calibrations"]) == (name, parts, [])
    shown = adaptrix("show", name, *local).stdout
    assert f"confidence  unknown; `adaptrix calibrate '{name}' --family NAME` measures it" in shown
    assert all(f"{part['name']}, digest {part['package_digest']}" in shown for part in card["parts"])


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("auto", "auto leaves it to the router"),
        ("vote(math_reasoning,code_generation)", "comes to more than one mix"),
        ("math_reasonin*0.5", "did you mean 'math_reasoning'"),
        ("math_reasoning*nan", "weight nan"),
    ],
)
def test_show_refuses_what_is_no_mix(adaptrix: Adaptrix, local: tuple[object, ...], name: str, complaint: str) -> None:
    done = adaptrix("show", name, *local)
    assert (done.exit_code, complaint in done.stderr) == (1, True), done.output


def test_an_answer_follows_the_schema(adaptrix: Adaptrix, local: tuple[object, ...], tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    wanted = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"]}
    schema.write_text(json.dumps({**wanted, "additionalProperties": False}))
    whole = answer(adaptrix, local, "base", "--schema", schema, "--max-tokens", 64)
    assert list(json.loads(str(whole["text"]))) == ["n"]
    cut = adaptrix("query", "hi", "--model", "base", "--schema", schema, "--max-tokens", 2, *local)
    assert "the answer was cut off, so it is no whole JSON document" in cut.stderr
    schema.write_text('{"type": 7}')
    refused = adaptrix("query", "hi", "--model", "base", "--schema", schema, *local)
    assert refused.exit_code == 1
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_texts_are_embedded_as_the_router_reads_them(adaptrix: Adaptrix, local: tuple[object, ...]) -> None:
    texts = ("A cat sits on the mat.", "The feline is on the rug.", "Interest rates rose.")
    document = json.loads(adaptrix("embed", *texts, "--json", *local).stdout)
    cat, feline, rates = (entry["embedding"] for entry in document["data"])
    assert [entry["text"] for entry in document["data"]] == list(texts)
    assert sum(x * x for x in cat) == pytest.approx(1.0, abs=1e-5)
    assert sum(map(float.__mul__, cat, feline)) > 0.5 > sum(map(float.__mul__, cat, rates))
    lines = adaptrix("embed", *local, input="\n".join(texts) + "\n\n").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [cat, feline, rates]


def test_load_checks_a_directory_as_a_server_would(
    adaptrix: Adaptrix, local: tuple[object, ...], world: World, tmp_path: Path
) -> None:
    good = world.write_adapter(tmp_path, "fresh", seed=9)
    loaded = adaptrix("load", good, "--json", *local)
    assert loaded.exit_code == 0, loaded.output
    assert json.loads(loaded.stdout)["signer"] == "tests"
    unsigned = world.write_adapter(tmp_path, "unsigned", seed=9, signed=False)
    refused = adaptrix("load", unsigned, *local)
    assert refused.exit_code == 1
    assert "[signature_missing]" in refused.stderr


def test_benchmark_and_status_report_figures(adaptrix: Adaptrix, local: tuple[object, ...]) -> None:
    measured = adaptrix(
        "benchmark", "--model", "base", "--model", "math_reasoning", "--requests", 6, "--concurrency", 3,
        "--max-tokens", 4, "--ignore-eos", "--json", *local,
    )  # fmt: skip
    assert measured.exit_code == 0, measured.output
    report = json.loads(measured.stdout)
    assert (report["num_requests"], report["num_failed"], report["completion_tokens"]) == (6, 0, 24)
    assert report["request_s"]["max"] >= report["request_s"]["p50"] > 0
    status = json.loads(adaptrix("status", "--json", *local).stdout)
    assert status["base"]["num_layers"] == 4


@pytest.mark.parametrize(("cut", "shown"), [(None, 1), (2, 2), (0, None)], ids=["left open", "2", "none"])
def test_status_shows_the_cut_of_the_catalogue_or_of_the_settings(
    adaptrix: Adaptrix, world: World, tmp_path: Path, cut: int | None, shown: int | None
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(world.settings(engine={"cut": cut})))
    local = ("--local", "--config", settings)
    assert json.loads(adaptrix("status", "--json", *local).stdout)["cut"] == shown
    assert f"cut: {shown}\n" in adaptrix("status", *local).stdout


def test_training_publishes_a_signed_adapter_that_answers(
    adaptrix: Adaptrix, local: tuple[object, ...], world: World, settings_file: Path, tmp_path: Path
) -> None:
    data = tmp_path / "pairs.jsonl"
    pairs = [{"prompt": f"What is {n} plus one?", "completion": f"It is {n + 1}."} for n in range(8)]
    data.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    trained = adaptrix(
        "train", "counting", "--data", data, "--base", world.base_dir, "--output", tmp_path / "run", "--layers", "1,2",
        "--rank", 2, "--epochs", 1, "--batch-size", 4, "--publish", tmp_path / "out", "--sign", "--key",
        world.private_key, "--description", "Adds one.", "--json",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    facts = json.loads(trained.stdout)
    assert (facts["layers"], facts["num_steps"]) == ([1, 2], 2)
    assert (tmp_path / "run" / "loss.png").read_bytes().startswith(b"\x89PNG")
    loaded = adaptrix("load", tmp_path / "out" / "counting", *local)
    assert loaded.exit_code == 0, loaded.output
    assert "signed by tests" in loaded.stdout


def test_an_adapter_for_a_task_family_is_published_with_its_own_card(
    adaptrix: Adaptrix, world: World, tmp_path: Path
) -> None:
    trained = adaptrix(
        "train", "sums", "--data", "math_reasoning", "--base", world.base_dir, "--output", tmp_path / "run", "--layers",
        "1", "--rank", 2, "--examples", 3, "--epochs", 1, "--publish", tmp_path / "out", "--json",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    metadata = AdapterManager(tmp_path / "out").get_adapter_metadata("sums")
    card = suggested_cards()["math_reasoning"]
    assert [metadata.description, list(metadata.routing_examples)] == [card["description"], card["routing_examples"]]


@pytest.mark.slow
def test_evaluate_measures_base_and_adapters(adaptrix: Adaptrix, settings_file: Path) -> None:
    done = adaptrix(
        "evaluate", "math_reasoning", "--problems", 3, "--shots", 0, "--max-tokens", 4, "--no-router", "--json",
        "--config", settings_file,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    conditions = json.loads(done.stdout)["held_out"]["math_reasoning"]["conditions"]
    assert "math_reasoning" in conditions
    assert all(scores["all"]["total"] == 3 for scores in conditions.values())


@pytest.mark.slow
@pytest.mark.integration
def test_the_installed_command_answers_by_a_shipped_adapter_from_any_directory(tmp_path: Path) -> None:
    (tmp_path / "adapters" / "trusted_keys").mkdir(parents=True)
    command = [sys.executable, "-m", "adaptrix_core.cli.main", "query", "--local", "--model", "math_reasoning"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = subprocess.run(
        [*command, "What is 12 + 30 - 5?"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Answer: 37" in done.stdout


def test_a_question_is_anchored_where_the_mix_drifts_and_a_server_is_not_asked_to(
    adaptrix: Adaptrix, local: tuple[object, ...], world: World, tmp_path: Path
) -> None:
    plain = answer(adaptrix, local, "math_reasoning")
    settings = {**world.settings(), "context": {"similarity": 1.0, "anchor_factor": 0.0}}
    file = tmp_path / "anchored.yaml"
    file.write_text(yaml.safe_dump(settings))
    anchored = answer(adaptrix, ("--local", "--config", file), "math_reasoning", "--anchor", "token")
    assert anchored["text"] != plain["text"]
    asked = ("query", "What is 17 + 25?", "--model", "math_reasoning", "--max-tokens", 2, "--anchor", "token")
    done = adaptrix(*asked, "--local", "--config", file)
    assert "weights are reduced from token" in done.stderr
    refused = adaptrix(*asked)
    assert refused.exit_code == 2
    assert "--anchor needs --local" in refused.output
