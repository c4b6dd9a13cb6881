"""``/v1/files``: files that a tenant uploads for batches, and those that batches write. OpenAI's form."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from deployments.http.description.endpoints import FILE, FILE_CONTENT, FILE_DELETE, FILE_UPLOAD, FILES
from deployments.http.endpoint import authorized
from deployments.http.endpoints.file_form import FileForm, read_file_form
from deployments.http.endpoints.paging import page_asked, page_document
from deployments.http.services import Objects, Services
from deployments.objects.records import ObjectKey, StoredObject

PURPOSE = "batch"
READ_BYTES = 1 << 20
SHORTEST_TTL_S = 3600


def file_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""
    objects = services.objects

    @app.post("/v1/files", **FILE_UPLOAD)
    async def upload(request: Request) -> Response:
        tenant = authorized(request, services, "generate").tenant
        form = await read_file_form(request, objects, tenant, "file")
        try:
            ttl_s = _checked(form, services.settings.objects.files_ttl_s)
        except BaseException:
            await objects.drop_upload(form.upload_id)
            raise
        key = ObjectKey(tenant, "file", f"file-{secrets.token_hex(16)}")
        document = json.dumps({"filename": form.file_name, "purpose": PURPOSE}).encode()
        return JSONResponse(file_document(await objects.finish_upload(form.upload_id, key, document, ttl_s)))

    @app.get("/v1/files", **FILES)
    async def files(request: Request) -> Response:
        tenant = authorized(request, services, "generate").tenant
        page = page_asked(request.query_params, most=MOST.listed_files, others=("purpose",))
        purpose = request.query_params.get("purpose")
        found: list[dict[str, Any]] = []
        after, has_more = page.after, True
        while has_more and len(found) < page.limit:
            some = await objects.list_objects(tenant, "file", after, page.limit - len(found), page.newest_first)
            documents = [file_document(stored) for stored in some.objects]
            found += [document for document in documents if purpose in (None, document["purpose"])]
            has_more = some.has_more
            after = documents[-1]["id"] if documents else after
        return JSONResponse(page_document(found, has_more))

    @app.get("/v1/files/{file_id}", **FILE)
    async def file(request: Request, file_id: str) -> Response:
        tenant = authorized(request, services, "generate").tenant
        return JSONResponse(file_document(await objects.get_object(ObjectKey(tenant, "file", file_id))))

    @app.delete("/v1/files/{file_id}", **FILE_DELETE)
    async def delete(request: Request, file_id: str) -> Response:
        tenant = authorized(request, services, "generate").tenant
        await objects.delete_object(ObjectKey(tenant, "file", file_id))
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})

    @app.get("/v1/files/{file_id}/content", **FILE_CONTENT)
    async def content(request: Request, file_id: str) -> Response:
        tenant = authorized(request, services, "generate").tenant
        key = ObjectKey(tenant, "file", file_id)
        size = (await objects.get_object(key)).content_bytes
        first = await objects.read_contents(key, 0, READ_BYTES)  # what is damaged or gone is a status, not a cut answer
        headers = {"content-length": str(size), "x-content-type-options": "nosniff"}
        return StreamingResponse(_parts(objects, key, first, size), 200, headers, "application/octet-stream")


async def _parts(objects: Objects, key: ObjectKey, first: bytes, size: int) -> AsyncIterator[bytes]:
    yield first
    sent = len(first)
    while sent < size:
        part = await objects.read_contents(key, sent, READ_BYTES)
        sent += len(part)
        yield part


def file_document(stored: StoredObject) -> dict[str, Any]:
    """OpenAI's document of a file."""
    kept = json.loads(stored.document)
    return {
        "id": stored.key.object_id,
        "object": "file",
        "bytes": stored.content_bytes,
        "created_at": stored.created_at,
        "expires_at": stored.expires_at,
        "filename": kept["filename"],
        "purpose": kept["purpose"],
        "status": "processed",
        "status_details": None,
    }


def _checked(form: FileForm, longest_ttl_s: float) -> float:
    """Seconds for which the file is kept. Raises InvalidRequest for a form that cannot be used."""
    anchor, seconds = "expires_after[anchor]", "expires_after[seconds]"
    unknown = set(form.fields) - {"purpose", anchor, seconds}
    if unknown:
        name = min(unknown)[:80]
        raise InvalidRequest(f"field {name!r} is not supported; remove it", code="unsupported_field", param=name)
    if form.file_name is None:
        raise InvalidRequest("the form has no file; send it as a part called 'file' with a file name", param="file")
    if (purpose := form.fields.get("purpose")) != PURPOSE:
        raise InvalidRequest(f"purpose is {(purpose or '')[:80]!r}; send {PURPOSE!r}", param="purpose")
    if not {anchor, seconds} & set(form.fields):
        return longest_ttl_s
    if form.fields.get(anchor) != "created_at":
        raise InvalidRequest(f"{anchor} must be 'created_at'", param="expires_after")
    sent = form.fields.get(seconds, "")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 10 and SHORTEST_TTL_S <= int(sent) <= longest_ttl_s):
        raise InvalidRequest(
            f"{seconds} is {sent[:40]!r}; it must be a whole number from {SHORTEST_TTL_S} to {longest_ttl_s:.0f} "
            "(setting objects.files_ttl_s)",
            param="expires_after",
        )
    return float(sent)
