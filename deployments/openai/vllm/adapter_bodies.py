"""The bodies with which adapters are loaded, shared and unloaded: vLLM's fields, which SGLang's clients send too."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from adaptrix_core.adapters.reference import RESERVED_NAMES, SHOWN_NAME_PATTERN, is_name, safe_name
from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.openai.neutral_fields import LOAD, UNLOAD


class SharedWith(Body):
    """Tenants that an adapter is shared with."""

    shared_with: list[str] = Field(default_factory=list, max_length=MOST.sharing_tenants)
    """Other tenants that see it, as ``~tenant/name``."""

    @field_validator("shared_with")
    @classmethod
    def _can_be_tenants(cls, tenants: list[str]) -> list[str]:
        for tenant in tenants:
            if not 0 < len(tenant) <= MOST.tenant_characters:
                raise ValueError(f"a tenant's name has 1 to {MOST.tenant_characters} characters, not {len(tenant)}")
        return tenants


class AudienceFields(SharedWith):
    """Who sees an adapter."""

    visibility: Literal["private", "shared", "public"] | None = None
    """For its own tenant, for those in ``shared_with`` too, or for all, which takes the scope ``operate``.

    Left out: for all with a key of that scope, else for its own tenant."""


class ShareRequest(SharedWith):
    """``PATCH /v1/adapters/{name}``: with whom a tenant's own adapter is shared from now on."""

    visibility: Literal["private", "shared"]
    """For its own tenant alone, or for those in ``shared_with`` too."""


class LoadRequest(AudienceFields):
    """``POST /v1/load_lora_adapter``, vLLM's names."""

    neutral = LOAD
    lora_name: str = Field(pattern=SHOWN_NAME_PATTERN, max_length=MOST.unload_name_characters)
    """Shown and accepted as it is sent; inside, small letters and ``--`` for slashes stand for it."""
    lora_path: str = Field(min_length=1, max_length=MOST.load_path_characters)
    allow_downgrade: bool = False
    load_inplace: bool = False
    """Whether it takes the place of what was loaded under this name, in one step."""

    @field_validator("lora_name")
    @classmethod
    def _can_be_taken(cls, name: str) -> str:
        safe = safe_name(name)
        if safe in RESERVED_NAMES:
            raise ValueError(f"{name!r} is reserved; choose another name")
        if not is_name(safe):
            raise ValueError(f"stands for {safe!r} inside, which has {len(safe)} characters; at most 64 are possible")
        return name

    @field_validator("lora_path")
    @classmethod
    def _can_be_a_path(cls, path: str) -> str:
        if "\0" in path:
            raise ValueError("holds a NUL character, which no path has")
        return path


class UnloadRequest(Body):
    """``POST /v1/unload_lora_adapter``: ``name`` (every version of it) or ``name@version``."""

    neutral = UNLOAD
    lora_name: str = Field(min_length=1, max_length=MOST.unload_name_characters)
    allow_downgrade: bool = False
