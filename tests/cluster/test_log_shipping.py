"""The shipped pipelines: rsyslog's brings lines into an index for real, the others are well-formed."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from adaptrix_core.config.sections import ObserveSettings
from adaptrix_core.places import project_root
from tests.serving.json_logs import json_logs

LOGS = project_root() / "cluster" / "logs"
RSYSLOGD = shutil.which("rsyslogd", path=f"{os.environ['PATH']}:/usr/sbin")
HAS_OUTPUT = any(Path("/usr/lib").glob("*/rsyslog/omelasticsearch.so"))


class Index(BaseHTTPRequestHandler):
    """Enough of ``POST /_bulk`` for a shipper: takes pairs of lines, the first bulk only when it is sent again."""

    taken: list[tuple[dict[str, Any], dict[str, Any]]]
    refused: list[tuple[dict[str, Any], dict[str, Any]]]
    came: threading.Condition

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        lines = [json.loads(line) for line in self.rfile.read(int(self.headers["content-length"])).splitlines()]
        pairs = list(zip(lines[::2], lines[1::2], strict=True))
        with self.came:
            is_full = not self.refused
            (self.refused if is_full else self.taken).extend(pairs)
            self.came.notify_all()
        told = {"status": 429, "error": {"type": "es_rejected_execution_exception"}} if is_full else {"status": 201}
        self._answer(200, {"errors": is_full, "items": [{"index": told} for _ in pairs]})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test has the documents."""


@contextmanager
def index() -> Iterator[tuple[str, type[Index]]]:
    kept = type("Kept", (Index,), {"taken": [], "refused": [], "came": threading.Condition()})
    with ThreadingHTTPServer(("127.0.0.1", 0), kept) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", kept
        server.shutdown()


@contextmanager
def shipper(log: Path, url: str, state: Path) -> Iterator[None]:
    assert RSYSLOGD is not None
    state.mkdir(exist_ok=True)
    told = {"ADAPTRIX_LOG": str(log), "ADAPTRIX_INDEX": url, "ADAPTRIX_STATE": str(state)}
    command = [RSYSLOGD, "-n", "-f", str(LOGS / "rsyslog.conf"), "-i", str(state / "pid")]
    with subprocess.Popen(command, env={**os.environ, **told}) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def write(log: Path, messages: list[str]) -> None:
    with json_logs(ObserveSettings(logs="ecs", log_file=log)):
        for message in messages:
            logging.getLogger("deployments.test").warning("%s", message, extra={"fields": {"status": 200}})


@pytest.mark.skipif(
    RSYSLOGD is None or not HAS_OUTPUT,
    reason="rsyslog is not installed (Debian's packages rsyslog and rsyslog-elasticsearch)",
)
def test_rsyslog_brings_every_line_into_the_index_once_through_refusals_and_restarts(tmp_path: Path) -> None:
    log, state = tmp_path / "log.jsonl", tmp_path / "state"
    first = ["plain", 'quotes " and \\ and {braces}', "two\nlines", "äöü €", "%msg% $now", "x" * 20_000]
    second = ["after a restart"]
    with index() as (url, kept):
        write(log, first)
        with shipper(log, url, state), kept.came:
            assert kept.came.wait_for(lambda: len(kept.taken) >= len(first), 60), kept.taken
        write(log, second)
        with shipper(log, url, state), kept.came:
            assert kept.came.wait_for(lambda: len(kept.taken) > len(first), 60), kept.taken
    assert kept.refused
    assert [document["message"] for _, document in kept.taken] == [*first, *second]
    assert {action["index"]["_index"] for action, _ in kept.taken} == {"adaptrix-logs"}
    assert [document for _, document in kept.taken] == [json.loads(line) for line in log.read_text().splitlines()]


def test_the_index_of_every_pipeline_is_the_templates() -> None:
    (pattern,) = json.loads((LOGS / "index_template.json").read_text())["index_patterns"]
    assert pattern == "adaptrix-*"
    for name in ("rsyslog.conf", "fluent-bit.yaml", "vector.yaml"):
        assert "adaptrix-logs" in (LOGS / name).read_text()


def test_the_other_pipelines_are_well_formed_and_join_up() -> None:
    bit, vector, collector = (
        yaml.safe_load((LOGS / f"{name}.yaml").read_text()) for name in ("fluent-bit", "vector", "otel_collector")
    )
    parsers = {parser["name"] for parser in bit["parsers"]}
    assert {entry["parser"] for entry in bit["pipeline"]["inputs"]} <= parsers
    steps = vector["sources"] | vector["transforms"]
    assert {name for step in (vector["transforms"] | vector["sinks"]).values() for name in step["inputs"]} == set(steps)
    (traces,) = collector["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(traces[kind]) == set(collector[kind])
