"""Whatever fits the server's own description, and whatever doesn't, gets an answer that is described."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from adaptrix_core.routing.embedder import TextEmbedder
from tests.serving.cluster.test_cluster import ask, processes
from tests.serving.fuzzing import fuzz
from tests.serving.inprocess import application, listening
from tests.serving.servers import Server
from tests.serving.tiny import World

USEFUL = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/route", "/v1/models")
"""Paths of which some drawn request has to be answered."""


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_application_survives_what_its_description_leads_to(
    world: World, embedder: TextEmbedder, tmp_path: Path
) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")})
    async with application(args, embedder) as (app, _), listening(app) as url:
        seen = await asyncio.to_thread(fuzz, url, 12, 150.0, USEFUL)
    statuses = {status for _, status in seen}
    assert {200, 400, 404} <= statuses
    for path in USEFUL:
        assert seen[path, 200], f"nothing that was sent to {path} was of use"


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_whole_server_survives_what_its_description_leads_to(server: Server) -> None:
    titles = ("ProxyActor", ":Ingress", ":ModelReplica", ":RouterReplica", ":Background", "AdapterStore")
    before = {title: [process.pid for process in processes(server, title)] for title in titles}
    assert all(before.values()), before
    seen = fuzz(server.url, 8, 75.0)
    assert {200, 400, 404} <= {status for _, status in seen}
    assert {title: [process.pid for process in processes(server, title)] for title in titles} == before
    assert httpx.get(f"{server.url}/health", timeout=60).status_code == 200
    assert ask(server).status_code == 200
