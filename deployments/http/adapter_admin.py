"""Loads, publishes and unloads adapters at run time: the places they may come from, and the errors for users."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError
from starlette.datastructures import QueryParams

from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.peft.directory import is_peft_directory, unsigned_peft
from adaptrix_core.adapters.reference import RESERVED_NAMES, safe_name
from adaptrix_core.errors import AdapterNotFound, Forbidden, InvalidRequest
from deployments.callers.principal import Principal
from deployments.http.faults import invalid_body
from deployments.http.services import Services
from deployments.http.tar_upload import files_in
from deployments.openai.vllm.adapter_bodies import AudienceFields, LoadRequest, ShareRequest, UnloadRequest
from deployments.shared.catalogue import shortened
from deployments.shared.entry import Audience, Entry, LoadCall
from deployments.store.package_files import describe


async def load(services: Services, principal: Principal, body: LoadRequest) -> Entry:
    """Load an adapter: durable, and usable on every replica and through this ingress, when this returns.

    The path may be the name of a shipped adapter that was unloaded, wherever its files are. A name that is not the
    signed one becomes an alias. Raises Forbidden (path outside the roots), AdapterNotFound (no such directory),
    AdapterRejected (a PEFT directory where signatures are required), and the store's errors.
    """
    audience = principal.audience(body.visibility, body.shared_with)
    if is_base(body.lora_name, await services.store.base_id()):
        raise InvalidRequest(f"{body.lora_name!r} is the base model's id; choose another name", param="lora_name")
    place = body.lora_path
    if place not in (await services.store.refresh()).unloaded:
        directory = inside_roots(place, services.settings.security.load_roots)
        # Replicas would refuse it too, but with the name of their own copy in the message.
        if services.settings.adapters.trust == "require" and await asyncio.to_thread(is_peft_directory, directory):
            raise unsigned_peft(body.lora_path)
        place = str(directory)
    wanted = LoadCall(body.lora_name, place, body.lora_path, body.allow_downgrade, body.load_inplace, audience)
    entry = await services.store.load_adapter(wanted)
    await services.store.refresh()
    return entry


async def unpacked(services: Services, archive: bytes) -> tuple[Mapping[str, bytes], Entry]:
    """The files in a tar archive, and what they say that they are. Raises AdapterRejected, InvalidRequest."""
    files = await asyncio.to_thread(files_in, archive)
    wanted = await asyncio.to_thread(describe, Snapshot("upload", files))  # hashes all of it
    name = wanted.name
    if name in RESERVED_NAMES or is_base(name, await services.store.base_id()):
        raise InvalidRequest(f"the archive's adapter is called {name!r}, which is reserved; give it another name")
    return files, wanted


async def publish(
    services: Services, files: Mapping[str, bytes], allow_downgrade: bool, audience: Audience
) -> tuple[Entry, bool]:
    """Publish the adapter in these files, once every replica has verified it. Also returns whether it is new.

    Raises AdapterRejected, Conflict (that version exists with other contents).
    """
    published = await services.store.publish_adapter(files, allow_downgrade, audience)
    await services.store.refresh()
    return published


async def unload(services: Services, principal: Principal, body: UnloadRequest) -> list[Entry]:
    """Unload an adapter: new requests are refused at once, running ones end first. It is gone when this returns.

    Raises AdapterNotFound for a name that the caller does not see, Forbidden for one that it may not change, and the
    store's errors.
    """
    view = principal.oversees(await services.store.refresh())
    entry = next(iter(view.called(body.lora_name)), None)
    if entry is not None:
        principal.require_change_of(entry)
    # A name that is not seen may be being loaded, which the store knows.
    tenant = entry.tenant if entry is not None else principal.audience(None, ()).tenant
    wanted = body.lora_name if entry is None else _as_the_store_calls(entry, body.lora_name)
    try:
        gone = await services.store.unload_adapter(wanted, body.allow_downgrade, tenant)
    except AdapterNotFound:
        raise view.not_found(body.lora_name, param="lora_name") from None
    await services.store.refresh()
    return gone


async def share(services: Services, principal: Principal, name: str, body: ShareRequest) -> list[Entry]:
    """Change with whom the tenant's own adapter is shared. Raises AdapterNotFound, Forbidden, the store's errors."""
    audience = principal.audience(body.visibility, body.shared_with)
    view = principal.oversees(await services.store.refresh())
    entry = next(iter(view.called(name)), None)
    if entry is None:
        raise view.not_found(name, param="name")
    if entry.tenant != principal.tenant:
        raise Forbidden(
            f"{name!r} is {'of another tenant' if entry.tenant else 'public'}; with whom an adapter is shared, its own "
            "tenant says alone",
            code="foreign_adapter",
        )
    changed = await services.store.share_adapter(name, audience)
    await services.store.refresh()
    return changed


def _as_the_store_calls(entry: Entry, wanted: str) -> str:
    """A reference to one of a tenant's adapters without that tenant before it."""
    _, at, version = wanted.partition("@")
    return f"{entry.own_name}{at}{version}"


def audience_in(query: QueryParams, principal: Principal) -> Audience:
    """Who is to see what is published, by ``visibility`` and ``shared_with``, which may stand there several times.

    Raises InvalidRequest, Forbidden.
    """
    document = {"visibility": query.get("visibility"), "shared_with": query.getlist("shared_with")}
    try:
        wanted = AudienceFields.model_validate(document)
    except ValidationError as error:
        raise invalid_body(error, None) from None
    return principal.audience(wanted.visibility, wanted.shared_with)


def is_base(name: str, base_id: str) -> bool:
    """Whether a name is the base model's id, or is to be confused with it."""
    return safe_name(name) == safe_name(base_id)


def unloaded_in_words(wanted: str, gone: Sequence[Entry]) -> str:
    """The answer's text: vLLM's sentence and, for a shipped adapter, how to load it again."""
    said = f"Success: LoRA adapter '{wanted}' removed successfully."
    shipped = next((entry for entry in gone if entry.shipped), None)
    if shipped is None:
        return said
    return (
        f"{said} It is shipped, so its files stay, but it is not served again, not even after a restart, and `auto` "
        f"does without it, until it is loaded: `adaptrix load {shipped.name}`."
    )


def flag(query: Mapping[str, str], name: str) -> bool:
    """A switch in a query string; off if missing. Raises InvalidRequest for anything but true or false."""
    value = query.get(name, "false").lower()
    if value not in ("true", "false"):
        raise InvalidRequest(f"{name} is {value[:80]!r}; send true or false", param=name)
    return value == "true"


def inside_roots(path: str, roots: Sequence[Path]) -> Path:
    """``path`` with links resolved, if it lies under one of ``roots``; relative paths are tried under each root.

    Raises Forbidden for a path outside, whether or not it exists, and AdapterNotFound for one inside that doesn't.
    """
    wanted = Path(path)
    allowed = []
    for root in roots:
        candidates = [wanted] if wanted.is_absolute() else [root / wanted, root.parent / wanted]
        allowed += [c for c in map(_resolved, candidates) if c is not None and c.is_relative_to(root.resolve())]
    for candidate in allowed:
        if os.path.isdir(candidate):
            return candidate
    if not allowed:
        names = ", ".join(repr(root.name) for root in roots) or "none is configured"
        raise Forbidden(
            f"lora_path {shortened(path)!r} is outside the directories that adapters may be loaded from ({names}; "
            "setting security.load_roots); move the adapter there",
            code="path_outside_roots",
            param="lora_path",
        )
    raise AdapterNotFound(
        f"lora_path {shortened(path)!r} is not a directory; give the directory of one adapter", param="lora_path"
    )


def _resolved(path: Path) -> Path | None:
    """``path`` with links resolved; None for an impossible one, such as a link to itself."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return None
