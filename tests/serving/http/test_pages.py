"""Scripts of web pages may call where the settings name their origin, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from adaptrix_core.config import load_settings
from adaptrix_core.errors import ConfigError
from deployments.callers.key_file import hash_key
from tests.serving.conftest import BASE_ID
from tests.serving.inprocess import application, listening
from tests.serving.tiny import World

PAGE = "https://chat.example.org"
ALLOWED = "access-control-allow-origin"
ASK = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, x-stainless-lang"}
BODY = {"model": BASE_ID, "prompt": "Who?", "max_tokens": 2}
KEY = {"authorization": "Bearer secret"}


@asynccontextmanager
async def open_to(world: World, tmp_path: Path, origins: Sequence[str], keys: bool = True) -> AsyncIterator[str]:
    """The URL of a server that these pages may call."""
    file = tmp_path / "keys.json"
    record = {"id": "a", "sha256": hash_key("secret"), "tenant": "t", "scopes": ["generate"]}
    file.write_text(json.dumps({"keys": [record]}))
    args = world.settings(
        adapters={"state_dir": str(tmp_path / "state")},
        router={"enabled": False},
        security={"cors_origins": list(origins)},
    )
    async with application(args, keys=file if keys else None) as (app, _), listening(app) as url:
        yield url


async def test_by_default_no_page_may_call(world: World, tmp_path: Path) -> None:
    async with open_to(world, tmp_path, []) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        asked = await http.options("/v1/completions", headers={"origin": PAGE, **ASK})
        answer = await http.post("/v1/completions", json=BODY, headers={"origin": PAGE, **KEY})
        assert asked.status_code == 405
        assert answer.status_code == 200
        for told in (asked, answer):
            assert not [name for name in told.headers if name.startswith("access-control-")]


async def test_a_named_page_may_call_and_read_errors_and_streams(world: World, tmp_path: Path) -> None:
    async with open_to(world, tmp_path, [PAGE]) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        asked = await http.options("/v1/completions", headers={"origin": PAGE, **ASK})  # without a key
        assert (asked.status_code, asked.headers[ALLOWED]) == (200, PAGE)
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert asked.headers["access-control-allow-headers"] == ASK["access-control-request-headers"]
        calls = {
            200: (BODY, KEY),
            400: ({**BODY, "n": "two"}, KEY),
            401: (BODY, {}),
            404: ({**BODY, "model": "nobody"}, KEY),
        }
        for status, (body, key) in calls.items():
            answer = await http.post("/v1/completions", json=body, headers={"origin": PAGE, **key})
            assert (answer.status_code, answer.headers[ALLOWED]) == (status, PAGE)
            assert "origin" in answer.headers["vary"].lower()
            assert "x-adaptrix-adapter" in answer.headers["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in answer.headers
        streamed = await http.post("/v1/completions", json={**BODY, "stream": True}, headers={"origin": PAGE, **KEY})
        assert streamed.headers[ALLOWED] == PAGE
        assert streamed.text.endswith("data: [DONE]\n\n")


async def test_another_page_may_not(world: World, tmp_path: Path) -> None:
    async with open_to(world, tmp_path, [PAGE]) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        for origin in ("https://evil.example.org", f"{PAGE}.evil.org", "http://chat.example.org", "null"):
            asked = await http.options("/v1/completions", headers={"origin": origin, **ASK})
            assert (asked.status_code, asked.json()["error"]["code"]) == (403, "foreign_origin")
            answer = await http.post("/v1/completions", json=BODY, headers={"origin": origin, **KEY})
            assert ALLOWED not in asked.headers
            assert ALLOWED not in answer.headers


async def test_all_pages_may_call_without_the_browsers_credentials(world: World, tmp_path: Path) -> None:
    async with open_to(world, tmp_path, ["*"]) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        for headers in ({"origin": PAGE, **KEY}, {"origin": PAGE, "cookie": "a=b", **KEY}):
            answer = await http.post("/v1/completions", json=BODY, headers=headers)
            assert answer.headers[ALLOWED] in ("*", PAGE)
            assert "access-control-allow-credentials" not in answer.headers


async def test_without_keys_only_pages_with_a_name_may_call(world: World, tmp_path: Path) -> None:
    async with open_to(world, tmp_path, [PAGE], keys=False) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        answer = await http.post("/v1/completions", json=BODY, headers={"origin": PAGE})
        assert (answer.status_code, answer.headers[ALLOWED]) == (200, PAGE)
        other = await http.post("/v1/completions", json=BODY, headers={"origin": "https://evil.example.org"})
        assert (other.status_code, other.json()["error"]["code"]) == (403, "foreign_origin")


async def test_a_star_is_no_name_of_a_page_without_keys(world: World, tmp_path: Path) -> None:
    async with open_to(world, tmp_path, ["*"], keys=False) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        for origin in (PAGE, "*"):
            answer = await http.post("/v1/completions", json=BODY, headers={"origin": origin})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize(
    "origin", ["https://a.org/", "https://a.org/path", "a.org", "HTTPS://A.org", "https://*.org", ""]
)
def test_what_no_browser_sends_is_no_origin(origin: str) -> None:
    with pytest.raises(ConfigError, match="cors_origins"):
        load_settings({"security": {"cors_origins": [origin]}})
