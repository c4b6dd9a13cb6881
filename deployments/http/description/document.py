"""The API described by itself: `/openapi.json` from the models that validate, and `/docs`, a page made of it.

`endpoints.py` describes what each endpoint takes and gives. The page loads nothing from the network: its parts come
with the package fastapi-offline.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic.json_schema import models_json_schema

from adaptrix_core import __version__
from deployments.http.description.described import REF
from deployments.http.description.endpoints import ANSWERS, BODIES

DOCUMENT, PAGE, ASSETS = "/openapi.json", "/docs", "/docs/assets"
_ASSET_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}

_ABOUT = """One small language model, many signed LoRA adapters, one per request. OpenAI's endpoints, vLLM's adapter
endpoints and a few of our own. Unknown and unsupported fields are refused by name."""


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of ``app``."""
    made = get_openapi(title=app.title, version=__version__, description=_ABOUT, routes=app.routes)
    _, taken = models_json_schema([(model, "validation") for model in BODIES], ref_template=REF)
    _, given = models_json_schema([(model, "validation") for model in ANSWERS], ref_template=REF)
    for operation in (operation for path in made["paths"].values() for operation in path.values()):
        if "HTTPValidationError" in str(operation["responses"].get("422")):
            del operation["responses"]["422"]  # FastAPI's own validation, which is not used here
    components = made.setdefault("components", {})
    components["schemas"] = {**taken["$defs"], **given["$defs"]}
    bearer = {"type": "http", "scheme": "bearer", "description": "An API key. A server without keys wants none."}
    components["securitySchemes"] = {"key": bearer}
    return made


def describing_endpoints(app: FastAPI) -> None:
    """Add `/openapi.json` and `/docs`, once all other endpoints are there. Both need no key."""
    made = document(app)
    page = get_swagger_ui_html(
        openapi_url=DOCUMENT.removeprefix("/"),
        title=f"{app.title} API",
        swagger_js_url="docs/assets/swagger-ui-bundle.js",
        swagger_css_url="docs/assets/swagger-ui.css",
        swagger_favicon_url="docs/assets/favicon.png",
    )

    @app.get(DOCUMENT, include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(made)

    @app.get(PAGE, include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page.body)

    def asset(name: str, media_type: str) -> None:
        @app.get(f"{ASSETS}/{name}", include_in_schema=False)
        def read() -> Response:
            data = (files("fastapi_offline") / "static" / name).read_bytes()
            return Response(data, media_type=media_type, headers={"cache-control": "max-age=86400"})

    for name, media_type in _ASSET_TYPES.items():
        asset(name, media_type)
