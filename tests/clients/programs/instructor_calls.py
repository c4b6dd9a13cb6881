"""instructor's usual calls in each of its modes for OpenAI's API, told as JSON: ``python instructor_calls.py``.

A program of its own because instructor cannot be installed beside this package (`apart.txt`). It learns from the
environment where the server is, and prints for each call what came back, or the error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal

import instructor
import openai
from pydantic import BaseModel

MODEL = os.environ["ADAPTRIX_MODEL"]
MOST_TOKENS = 100
"""Where nothing holds the model to the schema, and so to an end."""
REPORT: Any = [{"role": "user", "content": "The weather in Paris: 21 degrees and dry. As JSON."}]


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "London", "Rome"]
    celsius: int
    raining: bool


def client(mode: instructor.Mode) -> Any:
    """A client as its users make one."""
    plain = openai.OpenAI(base_url=os.environ["ADAPTRIX_BASE_URL"], api_key=os.environ["ADAPTRIX_KEY"])
    return instructor.from_openai(plain, mode=mode)


def one(mode: instructor.Mode, **fields: Any) -> Any:
    """One object."""
    answer = client(mode).create(model=MODEL, messages=REPORT, response_model=Weather, max_retries=0, **fields)
    return answer.model_dump()


def several() -> Any:
    """All calls of a turn with parallel calls."""
    made = client(instructor.Mode.PARALLEL_TOOLS)
    answers = made.create(
        model=MODEL, messages=REPORT, response_model=Iterable[Weather], max_retries=0, max_tokens=MOST_TOKENS
    )
    return [answer.model_dump() for answer in answers]


def partial() -> Any:
    """One object while it grows: how many steps there were, and the last."""
    made = client(instructor.Mode.TOOLS)
    steps = list(made.create_partial(model=MODEL, messages=REPORT, response_model=Weather, max_retries=0))
    return {"steps": len(steps), **steps[-1].model_dump()}


def history() -> Any:
    """An object and the whole answer that it stands in, sent back for another one."""
    made = client(instructor.Mode.JSON_SCHEMA)
    _, first = made.create_with_completion(model=MODEL, messages=REPORT, response_model=Weather, max_retries=0)
    messages = [*REPORT, first.choices[0].message.model_dump(), {"role": "user", "content": "And in Rome?"}]
    _, second = made.create_with_completion(model=MODEL, messages=messages, response_model=Weather, max_retries=0)
    return [first.usage.total_tokens, second.usage.prompt_tokens]


CALLS: dict[str, Callable[[], Any]] = {
    "TOOLS": lambda: one(instructor.Mode.TOOLS),
    "TOOLS_STRICT": lambda: one(instructor.Mode.TOOLS_STRICT),
    "FUNCTIONS": lambda: one(instructor.Mode.FUNCTIONS),
    "JSON_SCHEMA": lambda: one(instructor.Mode.JSON_SCHEMA),
    "JSON_O1": lambda: one(instructor.Mode.JSON_O1),
    "RESPONSES_TOOLS": lambda: one(instructor.Mode.RESPONSES_TOOLS),
    "JSON": lambda: one(instructor.Mode.JSON, max_tokens=MOST_TOKENS),
    "MD_JSON": lambda: one(instructor.Mode.MD_JSON, max_tokens=MOST_TOKENS),
    "PARALLEL_TOOLS": several,
    "partial": partial,
    "history": history,
}


def told(call: Callable[[], Any]) -> dict[str, Any]:
    """What came back, or the error."""
    try:
        return {"value": call()}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    json.dump({name: told(call) for name, call in CALLS.items()}, sys.stdout)
