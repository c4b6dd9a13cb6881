"""llm, Simon Willison's command-line program, with the server as one of its extra models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.clients.client import installed
from tests.clients.served import Served
from tests.clients.usual import ASK_WEATHER, HELLO, NEXT, REPORT, SUNNY, Weather

pytest.importorskip("llm", reason="llm is in the extra clients")

CLIENT = installed("llm", note="an extra model with `supports_schema` and `supports_tools`")

Llm = Callable[..., str]

FUNCTION = f"""
def get_weather(city: str) -> str:
    "Tell the weather in a city."
    return city + ": {SUNNY}"
"""


@pytest.fixture(scope="module")
def home(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program's directory: its models, its key, its log."""
    directory = tmp_path_factory.mktemp("llm")
    model = {
        "model_id": "small",
        "model_name": server.model,
        "api_base": server.base_url,
        "api_key_name": "small",
        "supports_schema": True,
        "supports_tools": True,
    }
    able = {**model, "model_id": "able", "model_name": server.tool_model}
    (directory / "extra-openai-models.yaml").write_text(yaml.safe_dump([model, able]))
    (directory / "keys.json").write_text(json.dumps({"small": server.key}))
    return directory


@pytest.fixture
def llm(home: Path) -> Llm:
    """``llm(argument, …)``: what the program prints."""

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "llm", *arguments]
        # The package that has our base model's file is a plugin too, and needs llama.cpp as one.
        env = {**os.environ, "LLM_USER_PATH": str(home), "LLM_LOAD_PLUGINS": ""}
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def logged(llm: Llm) -> dict[str, object]:
    entry: dict[str, object] = json.loads(llm("logs", "list", "--json", "-n", "1"))[0]
    return entry


def test_chat(llm: Llm) -> None:
    assert llm("-m", "small", "--no-stream", HELLO).strip()


def test_stream(llm: Llm) -> None:
    printed = llm("-m", "small", HELLO)
    assert printed.strip()
    assert logged(llm)["response"] == printed.removesuffix("\n")


def test_history(llm: Llm) -> None:
    llm("-m", "small", HELLO)
    first = logged(llm)
    llm("-c", NEXT)
    second = logged(llm)
    assert second["conversation_id"] == first["conversation_id"]
    assert int(str(second["input_tokens"])) > int(str(first["input_tokens"])) + int(str(first["output_tokens"]))


def test_structured(llm: Llm) -> None:
    printed = llm("-m", "small", "--schema", json.dumps(Weather.model_json_schema()), REPORT)
    Weather.model_validate_json(printed)


def test_tools(llm: Llm) -> None:
    printed = llm("-m", "able", "--functions", FUNCTION, "--td", ASK_WEATHER)
    assert printed.strip()
    calls = [entry for entry in json.loads(llm("logs", "list", "--json", "-n", "2")) if entry["tool_calls"]]
    assert [call["name"] for entry in calls for call in entry["tool_calls"]] == ["get_weather"]
