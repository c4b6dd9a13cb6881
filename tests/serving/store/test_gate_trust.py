"""A learned gate on a server: it answers under its composition's name, and one for other adapters is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from adaptrix_core.adapters import AdapterManager, TrustPolicy
from adaptrix_core.adapters.gates.gate_file import gate_metadata
from adaptrix_core.adapters.package.composition import write_composition
from adaptrix_core.adapters.package.contents import sign_package
from adaptrix_core.adapters.package.file_names import GATE_FILE
from adaptrix_core.adapters.trust.revocation import RevocationList
from adaptrix_core.composition.manifests.making import made
from adaptrix_core.digests import PackageDigest
from adaptrix_core.injection.arrow import arrow_gate
from adaptrix_core.injection.gate import Gate
from adaptrix_core.injection.learned_gate import bound
from tests.serving.inprocess import LocalStore, running
from tests.serving.store.test_composition_trust import ask, error_of, publish
from tests.serving.store.test_revocation import package_of, revoke
from tests.serving.tiny import World, load_base

Server = tuple[httpx.AsyncClient, LocalStore]
PARTS = ("math_reasoning", "code_generation")


@pytest_asyncio.fixture
async def server(world: World, tmp_path: Path) -> AsyncIterator[Server]:
    adapters = {"dir": str(world.shipped), "state_dir": str(tmp_path / "state"), "poll_s": 0.1}
    async with running(world.settings(adapters=adapters, router={"enabled": False})) as started:
        yield started


def gated(world: World, directory: Path, name: str, parts: tuple[str, ...] = PARTS, points: int | None = None) -> Path:
    """A signed composition under a gate with Arrow's directions, at so many points (None: all)."""
    manager = AdapterManager(world.shipped, load_base(world.base_dir), TrustPolicy("require", world.keys))
    weights = [manager.load_adapter(part).weights for part in parts]
    known = arrow_gate(weights)
    gate = bound(
        Gate(dict(list(known.points.items())[:points]), len(parts), temperature=0.5),
        [one.weights_digest for one in weights],
    )
    composition = {"parallel": list(parts), "combine": "gate"}
    metadata = made(manager, name, composition, gate=gate_metadata(gate, {}))
    write_composition(directory / name, metadata, gate, private_key=world.private_key)
    return directory / name


async def test_a_learned_gate_is_published_answers_and_is_revoked(server: Server, world: World, tmp_path: Path) -> None:
    http, store = server
    directory = gated(world, tmp_path, "gated")
    published = await publish(http, directory)
    assert published.status_code == 201, published.text
    answers = [await ask(http, "gated") for _ in range(2)]
    assert answers[0].status_code == 200, answers[0].text
    texts = [answer.json()["choices"][0]["message"]["content"] for answer in answers]
    assert texts[0] == texts[1]
    assert answers[0].json()["model"] == "gated"
    package = PackageDigest(package_of(store, "gated"))
    assert (await revoke(http, world, RevocationList(1, {package: "it colludes"}))).status_code == 200
    assert error_of(await ask(http, "gated"))[1] == "adapter_revoked"


async def test_a_gate_for_other_adapters_is_refused_before_it_is_used(
    server: Server, world: World, tmp_path: Path
) -> None:
    http, _ = server
    directory = gated(world, tmp_path, "gated")
    other = gated(world, tmp_path, "other", ("math_reasoning", "logical_reasoning"))
    (directory / GATE_FILE).write_bytes((other / GATE_FILE).read_bytes())
    sign_package(directory, world.private_key)
    assert error_of(await publish(http, directory)) == (422, "bad_gate")
    lacking = gated(world, tmp_path, "lacking", points=-1)
    assert error_of(await publish(http, lacking)) == (422, "bad_gate")
    assert error_of(await ask(http, "lacking"))[0] == 404
