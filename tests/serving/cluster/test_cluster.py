"""The whole system as `make serve` starts it: Ray, HTTP, two replicas, the official client.

What single parts do is tested in one process (`serving/generation/test_generation.py`,
`serving/http/test_bad_input.py`, `serving/http/test_adapters_api.py`); here is what only processes can show:
streaming over HTTP, disconnects, lost actors, and a server killed in mid-load.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

from adaptrix_core.adapters.package.file_names import REVOCATIONS_FILE, SIGNATURE_FILE
from adaptrix_core.adapters.trust.revocation import RevocationList, sign_list
from loadtest.ports import free_port
from tests.serving.conftest import BASE_ID, launched
from tests.serving.servers import Server
from tests.serving.tiny import CONTEXT, World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ASK: list[Any] = [{"role": "user", "content": "What is 17 + 25?"}]
CHAT = "/v1/chat/completions"
LONG = CONTEXT - 60


def wait_for(condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"still not so after {timeout_s} s")


def ask(server: Server, model: str = BASE_ID, **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": ASK, "max_tokens": 4, "temperature": 0, **fields}
    return httpx.post(f"{server.url}{CHAT}", json=body, timeout=120)


def load(server: Server, path: Path, name: str) -> httpx.Response:
    body = {"lora_name": name, "lora_path": str(path)}
    return httpx.post(f"{server.url}/v1/load_lora_adapter", json=body, timeout=120)


def unload(server: Server, name: str) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/unload_lora_adapter", json={"lora_name": name}, timeout=120)


def reported(server: Server, number: str) -> float:
    """The sum of a number of the engines of all replicas, as they last reported it."""
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    return sum(float(n) for n in re.findall(rf"^adaptrix_replica_{number}\{{.*\}} (\S+)$", text, re.MULTILINE))


def rows_running(server: Server) -> float:
    """Rows in the engines of all replicas."""
    return reported(server, "rows_running")


def processes(server: Server, title: str) -> list[psutil.Process]:
    """Processes of this server's cluster whose command line contains ``title``."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    found = []
    for child in children:
        try:
            if title in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def test_chat_through_the_official_client(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=ASK, max_tokens=6, temperature=0)
    whole = raw.parse()
    assert raw.headers["x-adaptrix-adapter"] == "math_reasoning"
    assert len(raw.headers["x-adaptrix-digest"]) == 64
    assert float(raw.headers["x-adaptrix-route-score"]) > 0.5
    stream = client.chat.completions.create(model="auto", messages=ASK, max_tokens=6, temperature=0, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream) == whole.choices[0].message.content


def test_completions_models_and_embeddings_through_the_official_client(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="code_generation", prompt=["a b", "c"], max_tokens=3, temperature=0)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert {model.id for model in client.models.list()} >= {BASE_ID, "auto", "math_reasoning"}
    vectors = client.embeddings.create(model="all-minilm-l6-v2", input=["one", "two"])
    assert [len(item.embedding) for item in vectors.data] == [384, 384]
    with pytest.raises(openai.NotFoundError, match="did you mean 'math_reasoning'"):
        client.chat.completions.create(model="math_reasonin", messages=ASK)


def test_tokens_arrive_one_by_one(server: Server) -> None:
    # Many, because a fast machine makes several of them between two messages.
    body = {"model": BASE_ID, "messages": ASK, "max_tokens": 800, "temperature": 0, "ignore_eos": True, "stream": True}
    arrivals = []
    with httpx.stream("POST", f"{server.url}{CHAT}", json=body, timeout=120) as response:
        assert response.headers["x-adaptrix-adapter"] == "base"
        for chunk in response.iter_raw():
            arrivals.append(chunk)
    assert len(arrivals) >= 10
    assert arrivals[-1].endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_its_request(server: Server, stream: bool) -> None:
    wait_for(lambda: rows_running(server) == 0)
    body = {
        "model": "math_reasoning",
        "messages": ASK,
        "max_tokens": LONG,
        "n": 4,
        "ignore_eos": True,
        "stream": stream,
    }
    if stream:
        with httpx.stream("POST", f"{server.url}{CHAT}", json=body, timeout=120) as response:
            chunks = response.iter_raw()  # kept: httpx closes the response with its iterator
            next(chunks)
            wait_for(lambda: rows_running(server) > 0)
    else:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}{CHAT}", json=body, timeout=httpx.Timeout(60, read=0.5))
    wait_for(lambda: (rows_running(server), reported(server, "kv_cache_usage_ratio")) == (0, 0))
    assert ask(server).status_code == 200


def test_bad_bodies_over_real_http(server: Server) -> None:
    big = json.dumps({"model": BASE_ID, "messages": [{"role": "user", "content": "x" * 10_000_000}]})
    refused = httpx.post(f"{server.url}{CHAT}", content=big, timeout=60)
    assert refused.status_code == 413
    assert "1048576" in refused.json()["error"]["message"]
    for content, code in ((b'{"model": "\xff"}', "invalid_utf8"), (b"{", "invalid_json")):
        refused = httpx.post(f"{server.url}{CHAT}", content=content, timeout=60)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
    for header in ("serve_multiplexed_model_id", "x-serve-router-adapter"):
        refused = httpx.get(f"{server.url}/v1/models", headers={header: "x"}, timeout=60)
        assert refused.status_code == 400
    assert ask(server).status_code == 200


def test_load_while_traffic_flows_is_usable_on_every_replica_at_once(server: Server, world: World) -> None:
    path = world.write_adapter(world.uploads, "live", 91)
    stop = threading.Event()
    statuses: list[int] = []

    def traffic() -> None:
        while not stop.is_set():
            statuses.append(ask(server, "math_reasoning").status_code)

    with ThreadPoolExecutor(12) as pool:
        running = [pool.submit(traffic) for _ in range(2)]
        assert load(server, path, "live").status_code == 200
        answers = list(pool.map(lambda _: ask(server, "live"), range(8)))
        assert unload(server, "live").status_code == 200
        stop.set()
        for future in running:
            future.result()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["choices"][0]["message"]["content"] for answer in answers}) == 1
    assert set(statuses) == {200}
    assert ask(server, "live").status_code == 404


def test_every_replica_reports_what_it_holds(server: Server) -> None:
    def both_hold() -> bool:
        listing = httpx.get(f"{server.url}/v1/adapters", timeout=30).json()
        residency = {a["name"]: a["residency"] for a in listing["data"]}["math_reasoning"]
        return len(listing["replicas"]) == 2 and all(place in ("device", "host") for place in residency.values())

    wait_for(both_hold)


def test_a_lost_store_comes_back_and_is_not_missed(server: Server, world: World) -> None:
    (store,) = processes(server, "ray::AdapterStore")
    store.kill()
    assert ask(server, "math_reasoning").status_code == 200
    path = world.write_adapter(world.uploads, "later", 92)

    def loaded() -> bool:
        answer = load(server, path, "later")
        assert answer.status_code in (200, 400, 503), answer.text
        return answer.status_code in (200, 400)

    wait_for(loaded)
    wait_for(lambda: ask(server, "later").status_code == 200)
    assert unload(server, "later").status_code == 200


def test_a_store_that_is_killed_under_load_costs_no_request(server: Server, world: World) -> None:
    """Adapters that replicas hold keep serving while the store is down, and it comes back with what it had."""
    stop = threading.Event()

    def traffic(model: str) -> list[int]:
        statuses = []
        while not stop.is_set():
            statuses.append(ask(server, model).status_code)
        return statuses

    names = ("math_reasoning", "code_generation", "math_reasoning@latest")
    with ThreadPoolExecutor(len(names)) as pool:
        running = [pool.submit(traffic, name) for name in names]
        for _ in range(3):
            (store,) = processes(server, "ray::AdapterStore")
            store.kill()
            wait_for(lambda pid=store.pid: [p.pid for p in processes(server, "ray::AdapterStore")] not in ([], [pid]))
            wait_for(lambda: httpx.get(f"{server.url}/v1/adapters", timeout=30).status_code == 200)
        stop.set()
        statuses = [status for future in running for status in future.result()]
    assert len(statuses) >= len(names)
    assert set(statuses) == {200}


def test_a_revocation_reaches_every_replica_and_ends_what_runs(server: Server, world: World) -> None:
    def publish(revocations: RevocationList) -> httpx.Response:
        files = sign_list(revocations, world.private_key)
        pairs = (("revocations", REVOCATIONS_FILE), ("signature", SIGNATURE_FILE))
        body = {field: base64.b64encode(files[name]).decode() for field, name in pairs}
        return httpx.post(f"{server.url}/v1/revocations", json=body, timeout=60)

    def stream() -> str:
        fields = {"max_tokens": LONG, "ignore_eos": True, "stream": True}
        return ask(server, "logical_reasoning", **fields).text

    package = ask(server, "logical_reasoning").headers["x-adaptrix-digest"]
    wait_for(lambda: rows_running(server) == 0)
    with ThreadPoolExecutor(4) as pool:
        streams = [pool.submit(stream) for _ in range(4)]
        wait_for(lambda: rows_running(server) == 4)
        outcome = publish(RevocationList(1, {package: "leaks"})).json()
        ended = [future.result() for future in streams]
    assert (len(outcome["confirmed"]), outcome["waiting"]) == (2, [])
    for text in ended:
        *_, last = [line for line in text.splitlines() if line.startswith("data: {")]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "adapter_revoked"
    assert {ask(server, "logical_reasoning").status_code for _ in range(8)} == {422}
    assert ask(server, "math_reasoning").status_code == 200
    assert publish(RevocationList(2)).status_code == 200
    wait_for(lambda: {ask(server, "logical_reasoning").status_code for _ in range(8)} == {200})


def test_a_stream_outlives_every_replica_that_there_was(server: Server) -> None:
    """It waits for the first that comes in their place, and goes on there."""
    fields = {"max_tokens": 400, "ignore_eos": True}
    undisturbed = ask(server, **fields).json()["choices"][0]["message"]["content"]
    body = {"model": BASE_ID, "messages": ASK, "temperature": 0, "stream": True, **fields}
    with httpx.stream("POST", f"{server.url}{CHAT}", json=body, timeout=300) as response:
        lines = response.iter_lines()
        received = [next(lines)]
        for replica in processes(server, "ModelReplica"):
            replica.kill()
        received += lines
    *documents, last = [line.removeprefix("data: ") for line in received if line]
    assert last == "[DONE]"
    deltas = [json.loads(document)["choices"][0]["delta"] for document in documents]
    assert "".join(delta.get("content", "") for delta in deltas) == undisturbed


def test_a_kill_in_mid_load(world: World) -> None:
    """A server killed with SIGKILL while it loads comes back with its old catalogue, and the same load then works."""
    args = world.settings(adapters={"state_dir": str(world.root / "state-killed")}, router={"enabled": False})
    path = world.write_adapter(world.uploads, "cut-off", 93)
    with launched(world, args, "killed") as server:
        lost = ThreadPoolExecutor(1).submit(load, server, path, "cut-off")
        (replica,) = processes(server, "ModelReplica")
        replica.suspend()  # so that the load cannot end
        wait_for(lambda: any((world.root / "state-killed" / "packages").iterdir()))
        family = psutil.Process(server.process.pid).children(recursive=True)
        os.kill(server.process.pid, signal.SIGKILL)
        for child in family:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue
        assert isinstance(lost.exception(timeout=60), httpx.HTTPError)
    with launched(world, args, "restarted") as server:
        assert ask(server, "cut-off").status_code == 404
        assert list((world.root / "state-killed" / "packages").iterdir()) == []
        assert ask(server, "math_reasoning").status_code == 200
        assert load(server, path, "cut-off").status_code == 200
        assert ask(server, "cut-off").status_code == 200


def test_the_launcher_refuses_what_is_wrong_before_it_starts_anything(world: World, tmp_path: Path) -> None:
    config = tmp_path / "serve.yaml"
    config.write_text(
        '{"applications": [{"import_path": "deployments.app:build", "args": {"engine": {"max_row": 0}, '
        '"adapters": {"dir": "nowhere"}}}]}'
    )
    ended = subprocess.run(
        [sys.executable, "-m", "deployments.launch", "--config", str(config), "--port", str(free_port())],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "engine.max_row: unknown key; did you mean max_rows?" in ended.stderr
    assert "adapters.dir" in ended.stderr
    assert "starting Ray" not in ended.stdout


def test_tokens_are_told_by_a_replica(server: Server) -> None:
    text = "What is 17 + 25? 😀"
    told = httpx.post(f"{server.url}/tokenize", json={"model": "auto", "prompt": text}, timeout=60).json()
    assert told["count"] == len(told["tokens"]) > 3
    back = httpx.post(f"{server.url}/detokenize", json={"tokens": told["tokens"]}, timeout=60)
    assert back.json()["prompt"] == text
    refused = httpx.post(f"{server.url}/detokenize", json={"tokens": [1_000_000]}, timeout=60)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tokens")
