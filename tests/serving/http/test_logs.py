"""JSON logs: one line for every request however it ended, with its ids, and no prompt unless asked for."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from adaptrix_core.config.sections import ObserveSettings
from adaptrix_core.observe.logs import request_id
from deployments.shared.request_id import cleaned_id
from tests.observe.test_ecs import TEMPLATE, leaves, mapped
from tests.serving.conftest import BASE_ID
from tests.serving.inprocess import running
from tests.serving.json_logs import json_logs
from tests.serving.tiny import World

SECRET = "zebra crossing"


def body(model: str, **fields: object) -> dict[str, object]:
    return {"model": model, "prompt": SECRET, "max_tokens": 3, "temperature": 0, "ignore_eos": True, **fields}


async def lines_of(world: World, directory: Path, bodies: list[dict[str, object]], **observe: object) -> list[Any]:
    """What the log says about these requests."""
    args = world.settings(
        adapters={"state_dir": str(directory)},
        router={"enabled": False},
        observe={"logs": "json", "log_file": str(directory / "log.jsonl")} | observe,
    )
    async with running(args) as (http, _):
        for number, sent in enumerate(bodies):
            response: httpx.Response = await http.post(
                "/v1/completions", json=sent, headers={"x-request-id": f"id-{number}"}
            )
            assert response.status_code != 500
    lines = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["message"] == "request"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("job-7/step=3", "job-7/step=3"),
        ("a\r\nx-admin: yes", "ax-admin:yes"),
        ("\x1b[2Jgone", "[2Jgone"),
        ("two words\tand \x00 more", "twowordsandmore"),
        ("größe", "gre"),
        ("x" * 10_000, "x" * 128),
        (" \n", ""),
    ],
)
def test_an_id_from_outside_is_short_and_plain_text(given: str, kept: str) -> None:
    assert cleaned_id(given) == kept


async def test_every_request_has_one_line(world: World, tmp_path: Path) -> None:
    bodies = [
        body("math_reasoning", n=2),
        body("math_reasoning", stream=True),
        body("nobody"),
        body(BASE_ID, temperature=-1),
    ]
    whole, streamed, unknown, wrong = await lines_of(world, tmp_path, bodies)
    assert [line["request_id"] for line in (whole, streamed, unknown, wrong)] == ["id-0", "id-1", "id-2", "id-3"]
    assert [line["status"] for line in (whole, streamed, unknown, wrong)] == [200, 200, 404, 400]
    assert (whole["tenant"], whole["key_id"], whole["adapter"]) == ("local", "local", "math_reasoning")
    assert len(whole["digest"]) == 64
    assert whole["response_id"].startswith("cmpl-")
    assert (whole["completion_tokens"], whole["finish_reasons"]) == (6, ["length", "length"])
    assert whole["prompt_tokens"] == streamed["prompt_tokens"] > 0, "a prompt counts once for all its choices"
    assert 0 < whole["load_s"] <= whole["queued_s"] < whole["first_token_s"] <= whole["total_s"]
    assert whole["prefill_s"] > 0
    assert whole["decode_s"] > 0
    assert (unknown["error"], wrong["error"]) == ("model_not_found", "invalid_request")
    assert "adapter" not in unknown
    assert SECRET not in json.dumps([whole, streamed, unknown, wrong])


async def test_prompts_are_logged_where_that_is_asked_for(world: World, tmp_path: Path) -> None:
    (line,) = await lines_of(world, tmp_path, [body(BASE_ID)], log_prompts=True)
    assert line["prompt"] == [SECRET]


async def test_under_ecs_names_the_index_template_maps_every_field(world: World, tmp_path: Path) -> None:
    whole, unknown = await lines_of(world, tmp_path, [body("math_reasoning"), body("nobody")], logs="ecs")
    known = set(mapped(json.loads(TEMPLATE.read_text())["template"]["mappings"]["properties"]))
    assert {*leaves(whole), *leaves(unknown)} <= known
    assert (whole["event"]["outcome"], unknown["event"]["outcome"]) == ("success", "failure")
    assert whole["event"]["duration"] == round(whole["adaptrix"]["total_s"] * 1e9)
    assert unknown["error"]["code"] == "model_not_found"


async def test_nothing_of_a_request_is_logged_without_json(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False})
    with caplog.at_level(logging.INFO):
        async with running(args) as (http, _):
            assert (await http.post("/v1/completions", json=body(BASE_ID))).status_code == 200
    assert not [record for record in caplog.records if record.name == "deployments.http.observe.request_watch"]


def test_other_records_carry_the_id_of_the_request_they_belong_to(tmp_path: Path) -> None:
    with json_logs(ObserveSettings(logs="json", log_file=tmp_path / "log.jsonl")):
        token = request_id.set("asked-1")
        try:
            raise ValueError("two\nlines")
        except ValueError:
            logging.getLogger("adaptrix_core.engine.loop").exception("a step failed: %s", "ä")
        request_id.reset(token)
    logging.getLogger("adaptrix_core.engine.loop").error("after the end")
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["level"], record["message"], record["request_id"]) == ("ERROR", "a step failed: ä", "asked-1")
    assert record["exception"].endswith("ValueError: two\nlines")
    assert record["time"].endswith("+00:00")
