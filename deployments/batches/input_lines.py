"""The input of a batch, cut into lines and checked line by line: what is wrong with one concerns no other.

What a line asks of its endpoint is checked by the endpoint, when its turn comes. Nothing is held but the line that is
being put together, which is not longer than a request may be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from adaptrix_core.errors import AdaptrixError, InvalidRequest
from adaptrix_core.request_limits import MOST
from deployments.http.bodies import parse_body
from deployments.http.json_body import parse_json
from deployments.objects.batch_lines import BatchLine
from deployments.openai.batches.line import LineBody
from deployments.shared.catalogue import shortened
from deployments.shared.errors import BodyTooLarge


@dataclass(frozen=True)
class CheckedLine:
    """A line, and the fault that keeps it from being asked at all."""

    line: BatchLine
    fault: AdaptrixError | None = None


@dataclass(frozen=True)
class _RawLine:
    start: int
    length: int
    data: bytes | None
    """None where the line is too long to be kept."""


class LineCutter:
    """Cuts what comes in parts into lines; blank ones are left out."""

    def __init__(self, longest: int) -> None:
        """longest: bytes of the longest line that is kept."""
        self._longest = longest
        self._start = 0
        self._length = 0
        self._kept: bytearray | None = bytearray()

    def take(self, data: bytes) -> Iterator[_RawLine]:
        """The lines that end in ``data``."""
        begin = 0
        while (end := data.find(b"\n", begin)) >= 0:
            self._add(data[begin:end])
            yield from self._cut()
            self._start += self._length + 1
            self._length, self._kept = 0, bytearray()
            begin = end + 1
        self._add(data[begin:])

    def rest(self) -> Iterator[_RawLine]:
        """The last line, where it has no end."""
        yield from self._cut()

    def _add(self, part: bytes) -> None:
        self._length += len(part)
        if self._length > self._longest:
            self._kept = None
        elif self._kept is not None:
            self._kept += part

    def _cut(self) -> Iterator[_RawLine]:
        if self._kept is None or self._kept.strip():
            yield _RawLine(self._start, self._length, None if self._kept is None else bytes(self._kept))


class LineChecker:
    """Checks the lines of one batch, in order."""

    def __init__(self, endpoint: str, longest: int) -> None:
        self._endpoint = endpoint
        self._longest = longest
        self._seen: set[bytes] = set()
        """Digests of the custom ids so far."""
        self.number = 0

    def check(self, raw: _RawLine) -> CheckedLine:
        """The next line, with its fault where it has one."""
        number, self.number = self.number, self.number + 1
        line = BatchLine(number, raw.start, raw.length, None)
        if raw.data is None:
            return CheckedLine(
                line,
                BodyTooLarge(
                    f"line {number + 1} has {raw.length} bytes; at most {self._longest} are accepted (setting "
                    "security.max_body_bytes): send less"
                ),
            )
        try:
            body = read_line(raw.data)
        except AdaptrixError as error:
            return CheckedLine(BatchLine(number, raw.start, raw.length, _custom_id(raw.data)), error)
        return CheckedLine(BatchLine(number, raw.start, raw.length, body.custom_id), self._fault(body))

    def _fault(self, body: LineBody) -> InvalidRequest | None:
        identity = hashlib.blake2b(body.custom_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if identity in self._seen:
            return InvalidRequest(
                f"custom_id {shortened(body.custom_id)!r} stands in an earlier line; give each line its own",
                param="custom_id",
            )
        self._seen.add(identity)
        if body.url != self._endpoint:
            return InvalidRequest(
                f"url is {shortened(body.url)!r}, and the batch is for {self._endpoint!r}; make one for each endpoint",
                param="url",
            )
        if body.body.get("stream"):
            return InvalidRequest("stream is true; nobody reads a stream of a batch: leave it out", param="stream")
        return None


def read_line(data: bytes) -> LineBody:
    """The line in ``data``. Raises InvalidRequest."""
    return parse_body(data, LineBody, MOST.whole_number)  # its text is counted by the endpoint


def _custom_id(data: bytes) -> str | None:
    """The custom id of a line with a fault, where it can be told."""
    try:
        document = parse_json(data)
    except AdaptrixError:
        return None
    found = document.get("custom_id") if isinstance(document, dict) else None
    return found[: MOST.custom_id_characters] if isinstance(found, str) else None
