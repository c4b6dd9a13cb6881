"""``/v1/files`` with OpenAI's own client: uploaded, listed, read, deleted, by its owner alone; bad forms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio

from adaptrix_core.request_limits import MOST
from tests.serving.batches.worlds import Tenants, two_tenants
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = {"max_object_bytes": "3MiB", "max_tenant_bytes": "5MiB"}
LINES = b'{"custom_id": "a"}\n' * 100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tenants(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    async with two_tenants(world, tmp_path_factory.mktemp("files"), objects=LIMITS) as made:
        yield made


async def upload(client: openai.AsyncOpenAI, data: bytes = LINES, **fields: Any) -> Any:
    return await client.files.create(file=("lines.jsonl", data), purpose="batch", **fields)


async def test_a_file_is_what_was_uploaded_until_it_is_deleted(tenants: Tenants) -> None:
    made = await upload(tenants.ours)
    assert (made.bytes, made.filename, made.purpose, made.status) == (len(LINES), "lines.jsonl", "batch", "processed")
    assert made.expires_at == made.created_at + 2_592_000
    assert await tenants.ours.files.retrieve(made.id) == made
    assert (await tenants.ours.files.content(made.id)).content == LINES
    deleted = await tenants.ours.files.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    with pytest.raises(openai.NotFoundError):
        await tenants.ours.files.retrieve(made.id)


async def test_a_file_of_several_parts_is_put_together_again(tenants: Tenants) -> None:
    data = b"".join(f"{number}\r\n--\r".encode() for number in range(200_000))
    made = await upload(tenants.ours, data)
    assert (await tenants.ours.files.content(made.id)).content == data
    async with tenants.ours.files.with_streaming_response.content(made.id) as streamed:
        assert b"".join([part async for part in streamed.iter_bytes()]) == data
    await tenants.ours.files.delete(made.id)


async def test_the_list_turns_its_pages(tenants: Tenants) -> None:
    ids = [(await upload(tenants.ours)).id for _ in range(5)]
    assert [file.id async for file in tenants.ours.files.list(limit=2)] == ids[::-1]
    assert [file.id async for file in tenants.ours.files.list(limit=2, order="asc")] == ids
    assert [file.id async for file in tenants.ours.files.list(purpose="batch_output")] == []
    for file_id in ids:
        await tenants.ours.files.delete(file_id)


async def test_no_one_else_sees_a_file(tenants: Tenants) -> None:
    made = await upload(tenants.ours)
    absent = f"file-{'0' * 32}"
    files = tenants.theirs.files
    for ask in (files.retrieve, files.content, files.delete):
        with pytest.raises(openai.NotFoundError) as other:
            await ask(made.id)
        with pytest.raises(openai.NotFoundError) as none:
            await ask(absent)
        assert str(other.value).replace(made.id, absent) == str(none.value)
    assert [file async for file in files.list()] == []
    with pytest.raises(openai.NotFoundError):
        await files.list(after=made.id)
    assert (await tenants.ours.files.content(made.id)).content == LINES
    await tenants.ours.files.delete(made.id)


async def test_an_upload_may_ask_for_an_earlier_end(tenants: Tenants) -> None:
    made = await upload(tenants.ours, expires_after={"anchor": "created_at", "seconds": 3600})
    assert made.expires_at == made.created_at + 3600
    await tenants.ours.files.delete(made.id)
    for seconds in (60, 10**9):
        with pytest.raises(openai.BadRequestError) as told:
            await upload(tenants.ours, expires_after={"anchor": "created_at", "seconds": seconds})
        assert told.value.param == "expires_after"


async def test_a_file_over_the_largest_size_and_one_over_the_quota_are_refused(tenants: Tenants) -> None:
    with pytest.raises(openai.APIStatusError) as large:
        await upload(tenants.ours, bytes(3_200_000))
    assert (large.value.status_code, large.value.code) == (413, "body_too_large")
    made = [await upload(tenants.ours, bytes(2_000_000)) for _ in range(2)]
    with pytest.raises(openai.PermissionDeniedError) as full:
        await upload(tenants.ours, bytes(2_000_000))
    assert full.value.code == "quota_full"
    await tenants.theirs.files.delete((await upload(tenants.theirs, bytes(2_000_000))).id)
    for file in made:
        await tenants.ours.files.delete(file.id)


def form(*parts: tuple[str, str], end: str = "--b--\r\n") -> bytes:
    return "".join(
        f"--b\r\ncontent-disposition: form-data; {head}\r\n\r\n{body}\r\n" for head, body in parts
    ).encode() + (end.encode())


FILE = ('name="file"; filename="a"', "x")
PURPOSE = ('name="purpose"', "batch")
BAD_FORMS: dict[str, tuple[bytes, str | None]] = {
    "no file": (form(PURPOSE), "file"),
    "a file without a name": (form(('name="file"', "x"), PURPOSE), "file"),
    "two files": (form(FILE, FILE, PURPOSE), "file"),
    "no purpose": (form(FILE), "purpose"),
    "another purpose": (form(FILE, ('name="purpose"', "fine-tune")), "purpose"),
    "an unknown field": (form(FILE, PURPOSE, ('name="color"', "red")), "color"),
    "half an end": (form(FILE, PURPOSE, ('name="expires_after[seconds]"', "3600")), "expires_after"),
    "no number": (
        form(FILE, PURPOSE, ('name="expires_after[seconds]"', "²"), ('name="expires_after[anchor]"', "created_at")),
        "expires_after",
    ),
    "cut": (form(FILE, PURPOSE, end=""), None),
    "cut in a file": (b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nxx', None),
    "no form": (b"hello", None),
    "nothing": (b"", None),
    "a long field": (form(FILE, ('name="purpose"', "b" * 5000)), None),
    "a long header": (b"--b\r\ncontent-disposition: " + b"x" * 10_000, None),
    "many parts": (form(FILE, *([('name="x"', "")] * (MOST.form_parts + 1))), None),
}


@pytest.mark.parametrize("bad", BAD_FORMS)
async def test_a_bad_form_is_refused_and_nothing_is_kept(tenants: Tenants, bad: str) -> None:
    data, param = BAD_FORMS[bad]
    headers = {"authorization": "Bearer ours", "content-type": "multipart/form-data; boundary=b"}
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{tenants.url}/v1/files", content=data, headers=headers)
    assert answer.status_code == 400, answer.text
    assert param is None or answer.json()["error"]["param"] == param
    directory = tenants.store.settings.adapters.state_dir / "objects"
    assert [*(directory / "staged").iterdir(), *(directory / "contents").iterdir()] == []


@pytest.mark.parametrize(
    "kind", ["application/json", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 300]
)
async def test_a_body_that_says_it_is_no_form_is_refused(tenants: Tenants, kind: str) -> None:
    async with httpx.AsyncClient(headers={"authorization": "Bearer ours", "content-type": kind}) as http:
        answer = await http.post(f"{tenants.url}/v1/files", content=b"{}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_form")


@pytest.mark.parametrize("asked", ["limit=0", "limit=99999", "limit=x", "order=up", "color=red", "after=file-none"])
async def test_a_page_that_cannot_be_is_refused(tenants: Tenants, asked: str) -> None:
    async with httpx.AsyncClient(headers={"authorization": "Bearer ours"}) as http:
        answer = await http.get(f"{tenants.url}/v1/files?{asked}")
    assert answer.status_code == (404 if "after" in asked else 400)


async def test_a_client_that_leaves_in_the_midst_of_an_upload_leaves_nothing(tenants: Tenants) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield form(FILE)[:-10]
        yield bytes(2_000_000)
        await asyncio.sleep(0.1)
        raise ConnectionError("gone")

    headers = {"authorization": "Bearer ours", "content-type": "multipart/form-data; boundary=b"}
    async with httpx.AsyncClient(headers=headers) as http:
        with pytest.raises(ConnectionError):
            await http.post(f"{tenants.url}/v1/files", content=half())
    staged = tenants.store.settings.adapters.state_dir / "objects" / "staged"
    async with asyncio.timeout(10):
        while list(staged.iterdir()):
            await asyncio.sleep(0.01)


async def test_without_a_key_there_are_no_files(tenants: Tenants) -> None:
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{tenants.url}/v1/files")).status_code == 401
        assert (await http.post(f"{tenants.url}/v1/files", content=form(FILE, PURPOSE))).status_code == 401
