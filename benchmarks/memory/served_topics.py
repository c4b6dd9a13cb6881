"""The scripted conversations of three topics held with a served system: who answers each turn of `auto`.

A system is started as `make serve` does, with all its defaults. Each script is a conversation of `/v1/conversations`,
whose turns are `/v1/responses` with `model` auto; what is answered goes into the conversation, as with any client.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.places import project_root
from benchmarks.harness.trunk_vote import wait_for_trunk_vote
from benchmarks.memory.recall import share
from benchmarks.memory.topics import ScriptedTurn, scripts
from loadtest.system import read_config, serving

AT_ONCE = 8
"""Conversations that are held at a time."""
ANSWER_TOKENS = 16
TIMEOUT_S = 300.0

Told = tuple[ScriptedTurn, str]
"""A turn, and who answered it."""


def run_served_topics() -> dict[str, Any]:
    """Print the share of turns with the right adapter, with few and with many everyday questions in between."""
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        config = read_config(project_root() / "serve_config.yaml", Path(name))
        with serving(config, Path(name)) as url:
            wait_for_trunk_vote(url)
            for everyday in (0, 20):
                told = asyncio.run(_hold_all(url, everyday))
                right = share([who == turn.adapter for turn, who in told])
                print(f"{everyday:2} everyday questions between: {right[0]:6.1%} ±{right[1]:.1%} of {len(told)} turns")
                for turn, who in told:
                    if who != turn.adapter:
                        print(f"    {turn.say!r} answered by {who}, not {turn.adapter}")
                rows[f"served {everyday}"] = {"adapter": right, "turns": len(told)}
    return {"rows": rows}


async def _hold_all(url: str, everyday: int) -> list[Told]:
    """The turns of all scripts on a topic."""
    free = asyncio.Semaphore(AT_ONCE)

    async def hold(turns: Sequence[ScriptedTurn]) -> list[Told]:
        async with free:
            return await _hold(client, turns)

    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client:
        held = await asyncio.gather(*(hold(turns) for turns in scripts(everyday)))
    return [one for told in held for one in told]


async def _hold(client: httpx.AsyncClient, turns: Sequence[ScriptedTurn]) -> list[Told]:
    conversation = (await _posted(client, "/v1/conversations", {})).json()["id"]
    told = []
    for turn in turns:
        asked = {"model": "auto", "conversation": conversation, "input": turn.say}
        answer = await _posted(client, "/v1/responses", {**asked, "max_output_tokens": ANSWER_TOKENS})
        if turn.adapter is not None:
            told.append((turn, answer.headers["x-adaptrix-adapter"].partition("@")[0] or BASE))
    return told


async def _posted(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> httpx.Response:
    answer = await client.post(path, json=body)
    if answer.status_code != httpx.codes.OK:
        raise RuntimeError(f"the server answered {answer.status_code} to {path}: {answer.text[:2000]}")
    return answer
