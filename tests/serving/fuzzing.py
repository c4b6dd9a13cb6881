"""Drives a server by its own OpenAPI document: bodies, headers and paths that fit it, and such that don't.

The examples are the same in every run. Each answer is held to what the API promises of all of them: no 5xx, and errors
in one shape and of a described status.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.serving.conftest import BASE_ID

MODELS = (
    None,
    BASE_ID,
    "auto",
    "math_reasoning",
    f"{BASE_ID}:code_generation",
    "math_reasoning*0.5+code_generation*0.5",
)
"""Names that exist, in place of drawn ones, which never do; None keeps what was drawn."""
TIMEOUT_S = 120
CONFORMS = [response_schema_conformance, content_type_conformance]
NO_PROBLEMS = [
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
]

schemathesis.serializer.alias("application/x-tar", "application/octet-stream")


def fuzz(url: str, examples: int, budget_s: float, whole: Collection[str] = ()) -> Counter[tuple[str, int]]:
    """Send so many examples of each kind to every endpoint, within about this time: how often which status came.

    whole: paths that get all of their examples, however long that takes.
    """
    document = httpx.get(f"{url}/openapi.json", timeout=60).raise_for_status().json()
    schema = schemathesis.openapi.from_dict(document)
    seen: Counter[tuple[str, int]] = Counter()
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == sum(len(path) for path in document["paths"].values())
    ends = time.monotonic() + budget_s
    with requests.Session() as session:
        for number, operation in enumerate(operations):
            share = time.monotonic() + (ends - time.monotonic()) / (len(operations) - number)
            share = math.inf if operation.path in whole else share
            _drive(url, operation, GenerationMode.POSITIVE, examples, share, session, seen)
            with suppress(Unsatisfiable):  # an endpoint that takes nothing can be sent nothing that doesn't fit
                _drive(url, operation, GenerationMode.NEGATIVE, examples, share, session, seen)
    return seen


def _drive(
    url: str,
    operation: Any,
    mode: GenerationMode,
    examples: int,
    ends: float,
    session: requests.Session,
    seen: Counter[tuple[str, int]],
) -> None:
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=NO_PROBLEMS,
    )
    @given(case=operation.as_strategy(generation_mode=mode), model=st.sampled_from(MODELS))
    def send(case: Case, model: str | None) -> None:
        if time.monotonic() > ends:
            return
        body = case.body
        if isinstance(body, dict):
            if model is not None and "model" in body:
                body["model"] = model
            if operation.path.endswith(("completions", "responses", "messages")):
                _keep_short(body)
        answer = case.call(base_url=url, session=session, timeout=TIMEOUT_S)
        _check(case, answer)
        seen[operation.path, answer.status_code] += 1

    send()


def _keep_short(body: dict[str, Any]) -> None:
    """An answer of two tokens instead of thousands, where the length is a good one."""
    lengths = ("max_output_tokens",) if "input" in body else ("max_tokens", "max_completion_tokens")
    for name in lengths:
        if isinstance(body.get(name), int) and body[name] > 0:
            body[name] = 2
    if all(body.get(name) is None for name in lengths):
        body[lengths[0]] = 2


def _check(case: Case, answer: Any) -> None:
    told = f"{case.as_curl_command()}\n{answer.status_code} {answer.text[:2000]}"
    deadline = "x-request-timeout-seconds" in {name.lower() for name in case.headers or {}}
    assert answer.status_code < 500 or (answer.status_code == 504 and deadline), told
    if answer.status_code >= 400 and case.method != "HEAD":
        anthropics = case.operation.path.startswith("/v1/messages")
        assert set(answer.json()) == ({"error", "type"} if anthropics else {"error"}), told
        members = {"message", "type"} if anthropics else {"message", "type", "code", "param"}
        assert set(answer.json()["error"]) == members, told
        assert len(answer.content) < 32_000, told
    if answer.status_code not in (404, 405, 501):  # a path that is no endpoint's is nowhere described
        assert str(answer.status_code) in case.operation.definition.raw["responses"], told
        case.validate_response(answer, checks=CONFORMS)
