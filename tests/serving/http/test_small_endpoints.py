"""What is asked in passing: the version, the pulse, the context's length, an embedder by any of its names."""

from __future__ import annotations

import pytest

from adaptrix_core import __version__
from tests.serving.conftest import Local, eventually
from tests.serving.tiny import CONTEXT

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the replica reports on that loop


async def test_the_version_and_the_pulse(local: Local) -> None:
    assert (await local.http.get("/version")).json() == {"version": __version__}

    async def is_alive() -> bool:
        return (await local.http.get("/ping")).status_code == 200

    await eventually(is_alive)
    assert (await local.http.get("/ping")).content == b""


async def test_every_model_says_how_long_its_context_is(local: Local) -> None:
    async def told() -> set[int | None]:
        return {model["max_model_len"] for model in (await local.http.get("/v1/models")).json()["data"]}

    async def is_known() -> bool:
        return None not in await told()

    await eventually(is_known)  # a replica says so in its first report
    assert await told() == {CONTEXT}


@pytest.mark.parametrize(
    "name", ["all-minilm-l6-v2", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "auto"]
)
async def test_the_embedder_answers_to_the_names_that_people_use(local: Local, name: str) -> None:
    answer = await local.http.post("/v1/embeddings", json={"model": name, "input": "hi"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "all-minilm-l6-v2"


async def test_another_embedder_does_not_exist(local: Local) -> None:
    answer = await local.http.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": "hi"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
