"""A hub on this machine: repositories with commits, behind the part of the hub's HTTP interface that downloads use."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Files = Mapping[str, bytes]
"""Contents by path in the repository."""

_INFO = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class FakeHub:
    """Repositories, each a list of commits, and the server that hands them out."""

    def __init__(self) -> None:
        self._commits: dict[str, list[Files]] = {}
        self.downloaded: list[str] = []
        """Paths of files whose contents were asked for."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub._answer(self, with_body=False)

            def do_GET(self) -> None:
                hub._answer(self, with_body=True)

            def log_message(self, *_arguments: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def commit(self, repository: str, files: Files) -> str:
        """A new state of a repository, which every hub repository's own file is part of; returns its id."""
        commits = self._commits.setdefault(repository, [])
        commits.append({".gitattributes": b"*.safetensors filter=lfs", **files})
        return _commit_id(len(commits) - 1)

    def files(self, repository: str) -> dict[str, bytes]:
        """The newest state of a repository."""
        return {name: data for name, data in self._commits[repository][-1].items() if name != ".gitattributes"}

    def _answer(self, request: BaseHTTPRequestHandler, with_body: bool) -> None:
        path = request.path.split("?")[0]
        if (info := _INFO.fullmatch(path)) and (found := self._find(info[1], info[2] or "main")):
            files = found[1].items()
            listed = [{"rfilename": n, "size": len(data), "blobId": sha1(data).hexdigest()} for n, data in files]
            body = json.dumps({"id": info[1], "modelId": info[1], "sha": found[0], "siblings": listed}).encode()
            self._send(request, 200, {"Content-Type": "application/json"}, body, with_body)
        elif (file := _FILE.fullmatch(path)) and (found := self._find(file[1], file[2])) and file[3] in found[1]:
            data = found[1][file[3]]
            if with_body:
                self.downloaded.append(file[3])
            headers = {"ETag": f'"{sha1(data).hexdigest()}"', "X-Repo-Commit": found[0]}
            self._send(request, 200, headers, data, with_body)
        else:
            self._send(request, 404, {"X-Error-Code": "RepoNotFound"}, b"", with_body)

    def _find(self, repository: str, revision: str) -> tuple[str, Files] | None:
        for number, files in reversed(list(enumerate(self._commits.get(repository, [])))):
            if revision in ("main", _commit_id(number)):
                return _commit_id(number), files
        return None

    @staticmethod
    def _send(
        request: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes, with_body: bool
    ) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if with_body:
            request.wfile.write(body)


@contextmanager
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that `huggingface_hub` takes for the real one while the context lasts."""
    hub = FakeHub()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    try:
        yield hub
    finally:
        hub.close()


def _commit_id(number: int) -> str:
    return f"{number:040x}"
