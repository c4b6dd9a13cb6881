"""instructor: an object in each of its modes for OpenAI's API, partial objects, and a second turn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.programs.apart import WHY_NOT, run, there
from tests.clients.served import Served
from tests.clients.usual import Weather

pytestmark = [pytest.mark.integration, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

CLIENT = there(
    "instructor",
    "every mode for OpenAI's API; `JSON`, `MD_JSON` and `PARALLEL_TOOLS` leave a model free to answer anything",
)

SCRIPT = Path(__file__).with_name("instructor_calls.py")


@pytest.fixture(scope="module")
def answers(server: Served) -> dict[str, Any]:
    where = {"ADAPTRIX_BASE_URL": server.base_url, "ADAPTRIX_KEY": server.key, "ADAPTRIX_MODEL": server.model}
    told: dict[str, Any] = json.loads(run("python", str(SCRIPT), **where))
    return told


@pytest.mark.parametrize("mode", ["TOOLS", "TOOLS_STRICT", "FUNCTIONS", "JSON_SCHEMA", "JSON_O1", "RESPONSES_TOOLS"])
def test_structured(answers: dict[str, Any], mode: str) -> None:
    Weather.model_validate(answers[mode].get("value"), extra="forbid")


@pytest.mark.parametrize("mode", ["JSON", "MD_JSON", "PARALLEL_TOOLS"])
def test_structured_where_the_model_is_free(answers: dict[str, Any], mode: str) -> None:
    """In these modes the model may answer anything, and a small one does: every fault is one of what it said."""
    fault = answers[mode].get("error", "")
    assert "Error code" not in fault
    assert not fault or fault.startswith(("InstructorRetryException", "IncompleteOutputException"))


def test_stream(answers: dict[str, Any]) -> None:
    last = dict(answers["partial"].get("value") or {})
    assert last.pop("steps", 0) > 1, answers["partial"]
    Weather.model_validate(last)


def test_history(answers: dict[str, Any]) -> None:
    first, second = answers["history"].get("value") or (0, 0)
    assert second > first > 0, answers["history"]
