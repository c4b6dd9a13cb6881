"""Names belong to signers; aliases take nobody's name; a name never means an older version without a word."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.adapters import generate_key_pair, sign_package
from adaptrix_core.adapters.trust.keys import read_trusted_keys
from adaptrix_core.adapters.trust.name_owners import TRANSFERS_FILE, Transfer, record_transfer
from adaptrix_core.adapters.trust.revocation import RevocationList
from tests.serving.conftest import eventually
from tests.serving.http.test_publishing import ask, publish
from tests.serving.inprocess import LocalStore, running
from tests.serving.store.test_handed_in_bundles import load
from tests.serving.store.test_revocation import revoke
from tests.serving.tiny import World

OWNED = "math_reasoning"


@dataclass
class Setup:
    """A server's settings, two trusted keys, and a shipped directory of its own."""

    world: World
    root: Path

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def shipped(self) -> Path:
        return self.root / "shipped"

    def args(self, **adapters: object) -> dict[str, object]:
        sections = {
            "dir": str(self.shipped),
            "state_dir": str(self.root / "state"),
            "trusted_keys_dir": str(self.keys),
            "poll_s": 0.1,
        }
        return self.world.settings(
            adapters={**sections, **adapters}, router={"enabled": False}, security={"load_roots": [str(self.root)]}
        )

    def write(self, name: str, version: str, seed: int, by_partner: bool = False) -> Path:
        directory = self.world.write_adapter(self.root / f"{version}-{seed}", name, seed, version=version)
        if by_partner:
            sign_package(directory, self.root / "partner.key")
        return directory

    def transfer(self, name: str, to: str) -> None:
        key = next(key for key in read_trusted_keys(self.keys) if key.name == to)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        record_transfer(self.keys, Transfer(name=name, to=key.fingerprint, key=key.name, at=at, by="tests"))


@pytest.fixture
def setup(world: World, tmp_path: Path) -> Setup:
    made = Setup(world, tmp_path)
    shutil.copytree(world.keys, made.keys)
    shutil.copytree(world.shipped, made.shipped)
    generate_key_pair(tmp_path / "partner.key", made.keys / "partner.pub")
    return made


@pytest_asyncio.fixture
async def server(setup: Setup) -> AsyncIterator[tuple[httpx.AsyncClient, LocalStore]]:
    async with running(setup.args()) as started:
        yield started


Server = tuple[httpx.AsyncClient, LocalStore]


def refused(answer: httpx.Response, status: int, code: str) -> bool:
    return (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def unload(http: httpx.AsyncClient, name: str, **fields: object) -> httpx.Response:
    return await http.post("/v1/unload_lora_adapter", json={"lora_name": name, **fields})


@pytest.mark.parametrize("how", ["load", "publish"])
async def test_another_trusted_key_cannot_take_a_shipped_adapters_name(server: Server, setup: Setup, how: str) -> None:
    http, _ = server
    before = await ask(http, OWNED)
    theirs = setup.write(OWNED, "9.9.9", 71, by_partner=True)
    answer = await (load(http, OWNED, theirs) if how == "load" else publish(http, theirs))
    assert refused(answer, 409, "name_owned"), answer.text
    assert "adaptrix trust transfer" in answer.json()["error"]["message"]
    assert (await ask(http, OWNED)).headers["x-adaptrix-digest"] == before.headers["x-adaptrix-digest"]
    assert (await ask(http, f"{OWNED}@9.9.9")).status_code == 404
    assert (await load(http, "theirs", theirs)).status_code == 200, "under a name of its own it is welcome"
    ours = setup.write(OWNED, "2.0.0", 72)
    assert (await publish(http, ours)).status_code == 201, "the owner's next version"


async def test_a_name_stays_its_first_signers_when_nothing_of_it_is_left(setup: Setup) -> None:
    async with running(setup.args()) as (http, _):
        assert (await publish(http, setup.write("pushed", "1.0.0", 73, by_partner=True))).status_code == 201
        assert (await unload(http, "pushed")).status_code == 200
    async with running(setup.args()) as (http, _):
        assert refused(await publish(http, setup.write("pushed", "2.0.0", 74)), 409, "name_owned")
        assert refused(await load(http, "pushed", setup.shipped / OWNED), 409, "name_taken")
        assert (await publish(http, setup.write("pushed", "2.0.0", 75, by_partner=True))).status_code == 201


async def test_an_operator_hands_a_name_over_and_then_it_is_the_others(setup: Setup) -> None:
    async with running(setup.args()) as (http, _):
        setup.transfer(OWNED, "partner")
        assert (await publish(http, setup.write(OWNED, "9.9.9", 76, by_partner=True))).status_code == 201
        new = (await ask(http, OWNED)).headers["x-adaptrix-digest"]
        assert (await ask(http, f"{OWNED}@1.0.0")).status_code == 200, "what the earlier owner had signed stays"
        assert refused(await publish(http, setup.write(OWNED, "10.0.0", 77)), 409, "name_owned")
    async with running(setup.args()) as (http, _):
        assert (await ask(http, OWNED)).headers["x-adaptrix-digest"] == new


async def test_a_transfer_reaches_a_running_server_by_itself_and_a_broken_file_changes_nothing(
    server: Server, setup: Setup
) -> None:
    http, _ = server
    shutil.copytree(setup.write(OWNED, "9.9.9", 78, by_partner=True), setup.shipped / f"{OWNED}@9.9.9")

    async def withheld() -> bool:
        return refused(await ask(http, f"{OWNED}@9.9.9"), 422, "name_owned")

    before = (await ask(http, OWNED)).headers["x-adaptrix-digest"]

    async def is_known() -> bool:
        return (await ask(http, f"{OWNED}@9.9.9")).status_code == 422

    await eventually(is_known)
    assert await withheld()
    assert (await ask(http, OWNED)).headers["x-adaptrix-digest"] == before
    listed = {f"{a['name']}@{a['version']}": a for a in (await http.get("/v1/adapters")).json()["data"]}
    assert listed[f"{OWNED}@9.9.9"]["withheld"]["code"] == "name_owned"
    shown = (await http.get(f"/v1/adapters/{OWNED}@9.9.9")).json()
    assert (shown["withheld"]["code"], shown["metadata"]["version"]) == ("name_owned", "9.9.9")
    assert f"{OWNED}@9.9.9" not in {card["id"] for card in (await http.get("/v1/models")).json()["data"]}
    (setup.keys / TRANSFERS_FILE).write_text("{broken")
    assert refused(await publish(http, setup.write(OWNED, "9.9.10", 79, by_partner=True)), 409, "name_owned")
    (setup.keys / TRANSFERS_FILE).unlink()
    setup.transfer(OWNED, "partner")

    async def is_theirs() -> bool:
        return (await ask(http, OWNED)).headers["x-adaptrix-digest"] != before

    await eventually(is_theirs)


async def test_a_lone_version_by_another_key_in_the_shipped_directory_takes_nothing_after_a_restart(
    setup: Setup,
) -> None:
    async with running(setup.args()) as (http, _):
        assert (await ask(http, OWNED)).status_code == 200
    shutil.rmtree(setup.shipped / OWNED)
    shutil.copytree(setup.write(OWNED, "1.0.0", 80, by_partner=True), setup.shipped / OWNED)
    async with running(setup.args()) as (http, _):

        async def is_known() -> bool:
            answer = await ask(http, OWNED)
            assert answer.status_code in (422, 503), answer.text
            return answer.status_code == 422

        await eventually(is_known)
        assert refused(await ask(http, OWNED), 422, "name_owned")


async def test_an_alias_never_takes_the_name_of_a_package(server: Server, setup: Setup) -> None:
    http, _ = server
    other = setup.write("pushed", "7.0.0", 81)
    before = (await ask(http, OWNED)).headers["x-adaptrix-digest"]
    for flag in (False, True):
        answer = await load(http, OWNED, other, allow_downgrade=flag)
        assert refused(answer, 409, "name_taken"), answer.text
    assert (await unload(http, OWNED)).status_code == 200
    assert refused(await load(http, OWNED, other), 409, "name_taken"), "also while its package is unloaded"
    assert (await load(http, OWNED, setup.shipped / OWNED)).status_code == 200
    assert (await ask(http, OWNED)).headers["x-adaptrix-digest"] == before
    assert (await load(http, "nick", other)).status_code == 200
    (listed,) = [a for a in (await http.get("/v1/adapters")).json()["data"] if a["name"] == "nick"]
    assert listed["alias_of"] == "pushed@7.0.0"
    assert refused(await load(http, "nick", setup.write("fresh", "8.0.0", 82)), 409, "name_taken")
    assert refused(await publish(http, setup.write("nick", "1.0.0", 83)), 409, "name_taken")


async def test_a_package_that_is_shipped_later_takes_its_name_from_an_alias(server: Server, setup: Setup) -> None:
    http, _ = server
    assert (await load(http, "nick", setup.shipped / OWNED)).status_code == 200
    alias = (await ask(http, "nick")).headers["x-adaptrix-digest"]
    shutil.copytree(setup.write("nick", "0.1.0", 84), setup.shipped / "nick")

    async def is_the_package() -> bool:
        answer = await ask(http, "nick")
        return answer.status_code == 200 and answer.headers["x-adaptrix-digest"] != alias

    await eventually(is_the_package)
    assert (await ask(http, OWNED)).headers["x-adaptrix-digest"] == alias


async def test_an_older_version_takes_a_bare_name_only_where_that_is_asked_for(setup: Setup) -> None:
    old, new = setup.write("pushed", "1.9.0", 85), setup.write("pushed", "1.10.0", 86)
    async with running(setup.args()) as (http, _):
        assert (await publish(http, new)).status_code == 201
        newest = (await ask(http, "pushed")).headers["x-adaptrix-digest"]
        assert (await publish(http, old)).status_code == 201, "beside a newer one it takes nothing"
        assert (await ask(http, "pushed")).headers["x-adaptrix-digest"] == newest
        for name in ("pushed@1.10.0", "pushed@latest"):
            assert refused(await unload(http, name), 409, "downgrade")
        assert (await ask(http, "pushed")).headers["x-adaptrix-digest"] == newest
        assert (await unload(http, "pushed")).status_code == 200, "all of it may go"
    async with running(setup.args()) as (http, _):
        assert refused(await load(http, "pushed", old), 409, "downgrade"), "remembered over a restart"
        assert refused(await publish(http, old), 409, "downgrade")
        assert (await load(http, "pushed", old, allow_downgrade=True)).status_code == 200
        assert (await load(http, "pushed", new)).status_code == 200
        assert (await unload(http, "pushed@latest", allow_downgrade=True)).status_code == 200
        older = (await ask(http, "pushed")).headers["x-adaptrix-digest"]
        assert older != newest
        assert (await unload(http, "pushed")).status_code == 200
        assert (await load(http, "pushed", old)).status_code == 200, "what was allowed once is the mark from then on"
        wrong = await http.post("/v1/adapters?allow_downgrade=perhaps", content=b"")
        assert wrong.json()["error"]["param"] == "allow_downgrade"


async def test_a_revoked_newest_version_gives_way_to_the_newest_good_one(
    server: Server, setup: Setup, world: World
) -> None:
    http, _ = server
    digests = {}
    for seed, version in ((87, "1.0.0"), (88, "2.0.0"), (89, "3.0.0")):
        published = await publish(http, setup.write("pushed", version, seed))
        digests[version] = published.json()["digest"]
    assert (await revoke(http, world, RevocationList(1, {digests["3.0.0"]: "leaks"}))).status_code == 200
    for name in ("pushed", "pushed@latest"):
        assert (await ask(http, name)).headers["x-adaptrix-digest"] == digests["2.0.0"]
    assert refused(await ask(http, "pushed@3.0.0"), 422, "adapter_revoked")
    assert (await unload(http, "pushed@3.0.0")).status_code == 200, "a revoked version may go without a word"
    assert (await ask(http, "pushed")).headers["x-adaptrix-digest"] == digests["2.0.0"]
    assert (await revoke(http, world, RevocationList(2, dict.fromkeys(digests.values(), "")))).status_code == 200
    assert refused(await ask(http, "pushed"), 422, "adapter_revoked"), "where none is good, that is said"


async def test_a_version_that_no_replica_accepts_gives_way_too(server: Server, setup: Setup) -> None:
    http, _ = server
    before = (await ask(http, OWNED)).headers["x-adaptrix-digest"]
    unsigned = setup.write(OWNED, "9.0.0", 90)
    (unsigned / "signature.json").unlink()
    shutil.copytree(unsigned, setup.shipped / f"{OWNED}@9.0.0")

    async def is_listed() -> bool:
        return refused(await ask(http, f"{OWNED}@9.0.0"), 422, "signature_missing")

    await eventually(is_listed)
    assert (await ask(http, OWNED)).headers["x-adaptrix-digest"] == before


async def test_an_unsigned_version_takes_no_signed_name_under_warn(setup: Setup) -> None:
    async with running(setup.args(trust="warn")) as (http, _):
        unsigned = setup.write(OWNED, "9.0.0", 91)
        (unsigned / "signature.json").unlink()
        assert refused(await load(http, OWNED, unsigned), 409, "name_owned")
        assert (await load(http, "mine", unsigned)).status_code == 200


async def test_without_signatures_nobody_owns_anything(setup: Setup) -> None:
    async with running(setup.args(trust="off")) as (http, _):
        assert (await publish(http, setup.write(OWNED, "9.9.9", 92, by_partner=True))).status_code == 201
