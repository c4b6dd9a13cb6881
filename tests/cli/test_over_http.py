"""The commands against the real HTTP API and a real engine, in one process and without Ray."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from click.testing import CliRunner

from adaptrix_core.cli.main import cli
from adaptrix_core.routing.embedder import TextEmbedder
from tests.cli.terminal import terminal
from tests.serving.conftest import eventually
from tests.serving.inprocess import application, listening
from tests.serving.tiny import World

MIX = "math_reasoning*0.5+code_generation*0.25"

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    args = world.settings(adapters={"state_dir": str(tmp_path_factory.mktemp("state"))})
    async with application(args, TextEmbedder()) as (app, _), listening(app) as address:
        async with httpx.AsyncClient(base_url=address) as http:

            async def is_up() -> bool:
                return (await http.get("/health")).status_code == 200

            await eventually(is_up)
        yield address


async def adaptrix(*arguments: object, entries: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command, run while the server goes on."""
    done = await asyncio.to_thread(CliRunner().invoke, cli, [str(argument) for argument in arguments], input=entries)
    return done.exit_code, done.stdout, done.stderr


async def test_a_conversation_checks_names_and_keeps_to_the_settings(url: str) -> None:
    entries = (
        "/use math_reasonin\n/use math_reasoning*0.5+nobody\n/use auto\n/use math_reasoning@1.0.0\n"
        "/set temperature 0\n/set top_k 3\n/set repetition_penalty 1.1\n/set stop END\n/set seed 4\nhi\n/again\n"
        "/use base\nhi\n"
    )
    code, _, noted = await adaptrix("query", "--max-tokens", 3, "--url", url, entries=entries)
    assert code == 0, noted
    assert "did you mean 'math_reasoning'" in noted
    assert "the model 'nobody' does not exist" in noted
    assert [noted.count(f"[{who} ·") for who in ("math_reasoning", "base")] == [2, 1]
    assert "the same answer: nothing was left to chance" in noted
    assert noted.count("warning:") == 2


async def test_every_setting_at_its_ends_is_taken_by_the_server(url: str) -> None:
    ends = {
        "max_tokens": (1,), "temperature": (0, 2), "top_p": (5e-324, 1), "top_k": (0, 2**31 - 1), "min_p": (0, 1),
        "seed": (-(2**63), 2**63 - 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2),
        "repetition_penalty": (0.01, 10), "stop": (json.dumps(["x"] * 16), "y" * 256),
    }  # fmt: skip
    entries = "/set max_tokens 1\n/use base\n"
    for name, values in ends.items():
        entries += "".join(f"/set {name} {value}\nhi\n" for value in values) + f"/set {name} default\n"
        entries += "/set max_tokens 1\n"
    code, _, noted = await adaptrix("query", "--url", url, entries=entries)
    assert code == 0, noted
    assert "warning:" not in noted
    assert noted.count("[base ·") == sum(map(len, ends.values()))


async def test_show_embed_and_a_schema_agree_with_a_local_engine(url: str, settings_file: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"enum": ["yes", "no"]}')
    asked = ("query", "hi", "--model", "base", "--temperature", 0, "--schema", schema)
    for command in (("show", "math_reasoning"), ("show", "base"), ("show", MIX), ("embed", "What is 17 + 25?"), asked):
        documents = []
        for where in (("--url", url), ("--local", "--config", settings_file)):
            code, shown, noted = await adaptrix(*command, "--json", *where)
            assert code == 0, noted
            documents.append(json.loads(shown))
        there, here = documents
        if command in (("show", "base"), ("show", MIX)):
            assert there == {"object": "adaptrix.confidence", **here}
        elif command[0] == "show":
            assert {key: there[key] for key in ("metadata", "size_bytes", "digest", "signer")} == {
                key: here[key] for key in ("metadata", "size_bytes", "digest", "signer")
            }
        elif command[0] == "embed":
            assert there["data"][0]["embedding"] == pytest.approx(here["data"][0]["embedding"], abs=1e-5)
        else:
            assert there["text"] == here["text"]
            assert json.loads(there["text"]) in ("yes", "no")


async def test_figures_of_requests_come_from_the_server(url: str) -> None:
    assert (await adaptrix("query", "hi", "--model", "base", "--max-tokens", 2, "--url", url))[0] == 0

    async def is_told() -> bool:
        code, shown, noted = await adaptrix("stats", "--json", "--url", url)
        assert code == 0, noted
        return any(row["adapter"] == "base" and row["completion_tokens"] > 0 for row in json.loads(shown)["data"])

    await eventually(is_told)
    _, shown, _ = await adaptrix("status", "--url", url)
    assert "last minute, base:" in shown
    code, _, noted = await adaptrix("stats", "--until", "2020-01-01", "--url", url)
    assert code == 1
    assert "end_time" in noted


async def test_ctrl_c_ends_a_real_answer_and_the_engine_goes_on(url: str) -> None:
    def sit_at_it() -> None:
        with terminal("query", "--url", url, "--model", "base", "--max-tokens", 4000) as screen:
            screen.wait(screen.is_editing, "the editor")
            screen.type("/set temperature 0\r")
            screen.expect("temperature is 0")
            screen.wait(screen.is_editing, "the editor")
            screen.type("/set frequency_penalty -2\r")  # repeats a token for ever: no end before the key is struck
            screen.expect("frequency_penalty is -2")
            screen.wait(screen.is_editing, "the editor")
            screen.type("hello\r")
            screen.wait(lambda: screen.is_quiet() and len(screen.shown.split("hello")[-1].strip()) > 20, "an answer")
            screen.type("\x03")
            screen.expect("the answer counts as far as it came")
            screen.wait(screen.is_editing, "the editor")
            screen.type("/set max_tokens 2\r")
            screen.expect("max_tokens is 2")
            screen.wait(screen.is_editing, "the editor")
            screen.type("and?\r")
            screen.expect("2 tokens")
            screen.wait(screen.is_editing, "the editor")
            screen.type("\x04")
            assert screen.ended() == 0
            assert screen.echoes()

    await asyncio.to_thread(sit_at_it)
