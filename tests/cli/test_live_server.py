"""The commands against a live server: Ray Serve, started by `adaptrix serve`, which is what `make serve` starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from loadtest.ports import free_port
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

Adaptrix = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
STOP_WITHIN_S = 120


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    """A server over ``world``; one SIGINT ends all of it."""
    port = free_port()
    config = world.root / "serve.yaml"
    application = {
        "name": "adaptrix",
        "route_prefix": "/",
        "import_path": "deployments.app:build",
        "args": world.settings(),
    }
    config.write_text(yaml.safe_dump({"proxy_location": "HeadOnly", "applications": [application]}))
    command = [sys.executable, "-m", "adaptrix_core.cli.main", "serve", "--json", "--config", str(config)]
    said = world.root / "said.txt"
    with (
        said.open("w") as errors,
        subprocess.Popen(
            [*command, "--port", str(port)], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as server,
    ):
        assert server.stdout is not None
        ready = server.stdout.readline()
        assert json.loads(ready or "null") == {"url": f"http://127.0.0.1:{port}", "status": "ready"}
        yield f"http://127.0.0.1:{port}"
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=STOP_WITHIN_S)
        assert server.returncode == 0
    assert said.read_text().splitlines()[-1].endswith("] stopping"), "nothing more is said after Ctrl-C"


def document(done: Result) -> dict[str, object]:
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_status_list_and_route_describe_the_running_system(adaptrix: Adaptrix, url: str) -> None:
    status = document(adaptrix("status", "--json", "--url", url))
    assert status["health"] == {"status": "ok"}
    assert {"auto", "math_reasoning", "code_generation", "logical_reasoning"} <= set(status["models"])  # type: ignore[call-overload]
    assert set(status["cut"].values()) == {1}, "where the adapters begin"  # type: ignore[attr-defined]
    listed = json.loads(adaptrix("list", "--json", "--url", url).stdout)
    assert {row["name"] for row in listed} == {"math_reasoning", "code_generation", "logical_reasoning"}
    decision = document(adaptrix("route", "What is 17 + 25?", "--json", "--url", url))
    assert decision["adapter"] == "math_reasoning"


def test_an_answer_streams_and_says_who_gave_it(adaptrix: Adaptrix, url: str) -> None:
    question = ("query", "What is 17 + 25?", "--max-tokens", 8, "--temperature", 0, "--url", url)
    routed = document(adaptrix(*question, "--json"))
    assert routed["adapter"] == "math_reasoning"
    streamed = adaptrix(*question, "--model", "math_reasoning")
    assert streamed.stdout == f"{routed['text']}\n"
    base = document(adaptrix(*question, "--json", "--model", "base"))
    assert base["adapter"] == "base"
    assert base["text"] != routed["text"]


def test_the_server_and_a_local_engine_give_the_same_answer(adaptrix: Adaptrix, url: str, settings_file: Path) -> None:
    ask = ("query", "Who is the mother of my father?", "--model", "logical_reasoning")
    question = (*ask, "--max-tokens", 8, "--temperature", 0, "--json")
    remote = document(adaptrix(*question, "--url", url))
    local = document(adaptrix(*question, "--local", "--config", settings_file))
    assert remote["text"] == local["text"]
    assert remote["digest"] == local["digest"]
    assert remote["usage"] == local["usage"]


def test_show_embed_and_a_schema_agree_with_a_local_engine(
    adaptrix: Adaptrix, url: str, settings_file: Path, tmp_path: Path
) -> None:
    here, there = ("--local", "--config", settings_file), ("--url", url)
    shown = [document(adaptrix("show", "math_reasoning", "--json", *where)) for where in (here, there)]
    for key in ("metadata", "size_bytes", "digest", "signer", "version"):
        assert shown[0][key] == shown[1][key]
    vectors = [document(adaptrix("embed", "What is 17 + 25?", "--json", *where))["data"] for where in (here, there)]
    assert vectors[0][0]["embedding"] == pytest.approx(vectors[1][0]["embedding"], abs=1e-5)  # type: ignore[index]
    schema = tmp_path / "schema.json"
    schema.write_text('{"enum": ["yes", "no"]}')
    ask = ("query", "hi", "--model", "base", "--temperature", 0, "--schema", schema, "--json")
    answers = [document(adaptrix(*ask, *where))["text"] for where in (here, there)]
    assert answers[0] == answers[1]
    assert json.loads(str(answers[0])) in ("yes", "no")


def test_a_conversation_checks_names_with_the_server(adaptrix: Adaptrix, url: str) -> None:
    entries = (
        "/use math_reasonin",
        "/use math_reasoning*0.5+nobody",
        "/use math_reasoning@1.0.0",
        "hi",
        "/use base",
        "hi",
    )
    done = adaptrix("query", "--max-tokens", 2, "--url", url, input="\n".join(entries))
    assert done.exit_code == 0, done.output
    assert "did you mean 'math_reasoning'" in done.stderr
    assert "the model 'nobody' does not exist" in done.stderr
    assert [done.stderr.count(f"[{who} ·") for who in ("math_reasoning", "base")] == [1, 1]


def test_load_use_unload(adaptrix: Adaptrix, url: str, world: World) -> None:
    world.write_adapter(world.uploads, "late", seed=11)
    loaded = adaptrix("load", world.uploads / "late", "--url", url)
    assert loaded.exit_code == 0, loaded.output
    assert document(adaptrix("query", "hi", "--model", "late", "--max-tokens", 4, "--json", "--url", url))[
        "adapter"
    ] == ("late")
    assert "late" in {row["name"] for row in json.loads(adaptrix("active", "--json", "--url", url).stdout)}
    assert adaptrix("unload", "late", "--url", url).exit_code == 0
    gone = adaptrix("query", "hi", "--model", "late", "--url", url)
    assert gone.exit_code == 1
    assert "[model_not_found]" in gone.stderr
    assert f"asked was the server at {url}" in gone.stderr.replace("\n", " ")


def test_publish_then_revoke_then_take_it_back(adaptrix: Adaptrix, url: str, world: World, tmp_path: Path) -> None:
    directory = world.write_adapter(tmp_path, "pushed", seed=13)
    published = document(adaptrix("publish", directory, "--json", "--url", url))
    assert document(adaptrix("publish", directory, "--json", "--url", url)) == published
    other = adaptrix("publish", world.write_adapter(tmp_path / "other", "pushed", seed=14), "--url", url)
    assert other.exit_code == 1
    assert "[version_conflict]" in other.stderr
    ask = ("query", "hi", "--model", "pushed@latest", "--max-tokens", 4, "--url", url)
    assert adaptrix(*ask).exit_code == 0

    signing = ("--key", world.private_key, "--trusted-keys", world.keys, "--json", "--url", url)
    revoked = document(adaptrix("revoke", "pushed", "--reason", "leaks", *signing))
    assert revoked["packages"] == [published["digest"]]
    assert (revoked["number"], revoked["waiting"]) == (1, [])
    refused = adaptrix(*ask)
    assert refused.exit_code == 1
    assert "[adapter_revoked]" in refused.stderr
    assert document(adaptrix("revoke", published["digest"], "--undo", *signing))["number"] == 2
    unknown = adaptrix("revoke", "nobody", *signing)
    assert unknown.exit_code == 1
    assert json.loads(unknown.stderr)["error"]["code"] == "adapter_not_found"


def test_a_refused_load_says_why_and_the_next_request_is_served(
    adaptrix: Adaptrix, url: str, world: World, tmp_path: Path
) -> None:
    outside = adaptrix("load", tmp_path, "--name", "x", "--url", url)
    assert outside.exit_code == 1
    assert "[path_outside_roots]" in outside.stderr
    world.write_adapter(world.uploads, "nobodys", seed=12, signed=False)
    unsigned = adaptrix("load", world.uploads / "nobodys", "--url", url)
    assert unsigned.exit_code == 1
    assert "[signature_missing]" in unsigned.stderr
    assert adaptrix("query", "hi", "--model", "base", "--max-tokens", 2, "--url", url).exit_code == 0


def test_a_batch_and_a_benchmark_run_many_requests_at_once(adaptrix: Adaptrix, url: str, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"What is {n} + 1?\n" for n in range(12)))
    done = adaptrix("query", "--file", prompts, "--max-tokens", 4, "--concurrency", 6, "--url", url)
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["messages"][-1]["content"] for record in records] == prompts.read_text().splitlines()
    load = ("--model", "base", "--requests", 8, "--concurrency", 4, "--max-tokens", 4, "--ignore-eos")
    report = document(adaptrix("benchmark", *load, "--json", "--url", url))
    assert (report["num_failed"], report["completion_tokens"]) == (0, 32)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("chat.py", "x-adaptrix-adapter: math_reasoning"),
        ("stream.py", "answer tokens]"),
        ("composition/mix.py", "0.7 math + 0.3 logic:"),
        ("remember.py", "kept: 6 items"),
    ],
)
def test_the_client_examples_run_as_they_stand(url: str, script: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script)],
        env={**os.environ, "ADAPTRIX_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
