"""Describes the endpoints that list, load, publish, unload and revoke adapters."""

from __future__ import annotations

from adaptrix_core.request_limits import MOST
from deployments.http.description import answers, loading_answers
from deployments.http.description.described import CHANGING, READING, described
from deployments.openai import schemas
from deployments.openai.vllm import adapter_bodies

_ALLOW_DOWNGRADE = {
    "name": "allow_downgrade",
    "in": "query",
    "description": "Whether the bare name may come to mean an older version than before.",
    "schema": {"type": "boolean", "default": False},
}

_VISIBILITY = {
    "name": "visibility",
    "in": "query",
    "description": "For its own tenant, for those in shared_with too, or for all; as in a load's body.",
    "schema": {"type": "string", "enum": ["private", "shared", "public"]},
}
_SHARED_WITH = {
    "name": "shared_with",
    "in": "query",
    "description": "Other tenants that see it: once for each.",
    "schema": {"type": "array", "items": {"type": "string"}, "maxItems": MOST.sharing_tenants},
}

MODELS = described("The base model, auto, and every adapter", scope="read", gives=answers.ModelList, errors=READING)
MODEL = described("One of the models", scope="read", gives=answers.ModelCard, errors=(*READING, 404))
ADAPTERS = described(
    "Every adapter: digest, signer, residency", scope="read", gives=answers.AdapterList, errors=READING
)
ADAPTER = described(
    "One of the adapters, with what it says about itself",
    scope="read",
    gives=answers.AdapterInFull,
    errors=(*READING, 404),
)
CONFIDENCE = described(
    "What was measured of how sure the answers of the base model, an adapter or a mix are",
    scope="read",
    gives=answers.ConfidenceCard,
    errors=(*READING, 400, 404),
)
SHARE = described(
    "Share a tenant's own adapter with other tenants, or no longer",
    scope="publish",
    takes=adapter_bodies.ShareRequest,
    example={"visibility": "shared", "shared_with": ["acme"]},
    gives=answers.AdaptersShared,
    errors=CHANGING,
)
LOAD = described(
    "Load an adapter from a directory; 200 means durable and usable on every replica",
    scope="publish",
    takes=adapter_bodies.LoadRequest,
    example={"lora_name": "my_adapter", "lora_path": "adapters/my_adapter"},
    errors=CHANGING,
)
UNLOAD = described(
    "Unload an adapter; running requests end first",
    scope="publish",
    takes=adapter_bodies.UnloadRequest,
    example={"lora_name": "my_adapter"},
    errors=CHANGING,
)
SGLANG_LOAD = described(
    "Load an adapter, in SGLang's form",
    scope="publish",
    takes=adapter_bodies.LoadRequest,
    gives=loading_answers.AdaptersNow,
    errors=CHANGING,
)
SGLANG_UNLOAD = described(
    "Unload an adapter, in SGLang's form",
    scope="publish",
    takes=adapter_bodies.UnloadRequest,
    gives=loading_answers.AdaptersNow,
    errors=CHANGING,
)
PUBLISH = described(
    "Publish a signed adapter: a plain tar of its directory; 201 where it is new, 200 where it was there",
    scope="publish",
    takes_file="application/x-tar",
    gives=answers.Published,
    status=201,
    errors=CHANGING,
)
PUBLISH["responses"][200] = PUBLISH["responses"][201]
PUBLISH["openapi_extra"]["parameters"] = [_ALLOW_DOWNGRADE, _VISIBILITY, _SHARED_WITH]
REVOCATIONS = described(
    "The signed revocation list in force", scope="operate", gives=answers.Revocations, errors=READING
)
REVOKE = described(
    "Put the next revocation list in force",
    scope="operate",
    takes=schemas.RevocationRequest,
    gives=answers.RevocationsPut,
    errors=CHANGING,
)
