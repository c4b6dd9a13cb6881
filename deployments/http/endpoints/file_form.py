"""Reads a form with one file (multipart/form-data) and sends the file on to the store of objects while it arrives.

Nothing is held whole: the file goes on in parts, which the store counts against its limits. Form parts, their headers
and their texts are few and small, so that a hostile form costs as little as another one. Knows no field's meaning.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from deployments.http.services import Objects

SENT_ON_BYTES = 1 << 20
"""Bytes that are collected before they are sent on to the store."""


@dataclass
class FileForm:
    """A form that was read; its file waits in the store as an upload."""

    fields: dict[str, str] = field(default_factory=dict)
    file_name: str | None = None
    """None where the form has no file."""
    file_bytes: int = 0
    upload_id: str = ""


async def read_file_form(request: Request, objects: Objects, tenant: str, file_field: str) -> FileForm:
    """The form in the body. Raises InvalidRequest, and what an upload raises; the upload is dropped then."""
    reader = _Reader(_boundary(request), file_field)
    form = reader.form
    try:
        async for data in _received(request):
            reader.take(data)
            if form.file_name is not None and not form.upload_id:
                form.upload_id = await objects.begin_upload(tenant)
            if len(reader.waiting) >= SENT_ON_BYTES:
                await _send_on(reader, objects)
        reader.end()
        await _send_on(reader, objects)
    except BaseException:
        if form.upload_id:
            await objects.drop_upload(form.upload_id)
        raise
    return form


async def _send_on(reader: _Reader, objects: Objects) -> None:
    if reader.waiting:
        data = bytes(reader.waiting)
        reader.waiting.clear()
        reader.form.file_bytes += len(data)
        await objects.add_to_upload(reader.form.upload_id, data)


async def _received(request: Request) -> AsyncIterator[bytes]:
    try:
        async for data in request.stream():
            if data:
                yield data
    except ClientDisconnect as error:
        raise InvalidRequest("the client went away while it sent the file") from error


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidRequest(
            f"content-type is {kind.decode('latin-1')[:80]!r}; send a form with a file: multipart/form-data with a "
            "boundary",
            code="bad_form",
        )
    return boundary


class _Reader:
    """The parser of one form: texts into `form`, bytes of the file into `waiting`."""

    def __init__(self, boundary: bytes, file_field: str) -> None:
        self.form = FileForm()
        self.waiting = bytearray()
        self._file_field = file_field
        self._num_parts = 0
        self._header, self._value = bytearray(), bytearray()
        self._name: str = ""
        self._text: bytearray | None = None
        """The text of the present part; None while that is the file."""
        self._is_over = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_data,
                    "on_part_data": self._take_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _bad(error) from error

    def take(self, data: bytes) -> None:
        """Read on. Raises InvalidRequest."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _bad(error) from error

    def end(self) -> None:
        """Note the end of the body. Raises InvalidRequest where the form has not ended."""
        if not self._is_over:
            raise InvalidRequest("the form ends in the midst of a part; send all of it", code="bad_form")

    def _begin_part(self) -> None:
        self._num_parts += 1
        if self._num_parts > MOST.form_parts:
            raise InvalidRequest(f"the form has more than {MOST.form_parts} parts; leave some out", code="bad_form")
        self._name = ""

    def _end_header(self) -> None:
        name, value = bytes(self._header).lower(), bytes(self._value)
        self._header, self._value = bytearray(), bytearray()
        if name != b"content-disposition":
            return
        _, options = parse_options_header(value)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == self._file_field and b"filename" in options:
            if self.form.file_name is not None:
                raise InvalidRequest("the form has two files; send one", param=self._file_field, code="bad_form")
            name_sent = options[b"filename"].decode("utf-8", "replace")
            self.form.file_name = name_sent[: MOST.file_name_characters]

    def _begin_data(self) -> None:
        is_file = self._name == self._file_field and self.form.file_name is not None
        self._text = None if is_file else bytearray()

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._text is None:
            self.waiting += data[start:end]
            return
        self._text += data[start:end]
        if len(self._text) > MOST.form_field_bytes:
            raise InvalidRequest(
                f"the form's field {self._name[:80]!r} has more than {MOST.form_field_bytes} bytes; send a file as a "
                f"part with a file name, called {self._file_field!r}",
                code="bad_form",
            )

    def _end_part(self) -> None:
        if self._text is not None:
            self.form.fields[self._name] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self._is_over = True


def _bad(error: FormParserError) -> InvalidRequest:
    return InvalidRequest(f"the body is no multipart/form-data: {error}"[:300], code="bad_form")
