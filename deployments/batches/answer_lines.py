"""The lines of a batch's output: an answer, an error as HTTP would give it, or why there is none. OpenAI's form."""

from __future__ import annotations

import json
from typing import Any

from adaptrix_core.errors import AdaptrixError
from deployments.batches.own_api import ApiAnswer
from deployments.http.errors import code_of, error_document
from deployments.objects.batch import BatchRecord
from deployments.objects.batch_lines import BatchLine, LineAnswer, Outcome


def request_id(batch: BatchRecord, line: BatchLine) -> str:
    """The id of the request that a line is, in logs and in its answer."""
    return f"{batch.batch_id}-{line.number}"


def answered(batch: BatchRecord, line: BatchLine, answer: ApiAnswer) -> LineAnswer:
    """What an endpoint has answered, good or bad."""
    return _with_response(batch, line, answer.status, answer.document)


def refused(batch: BatchRecord, line: BatchLine, error: AdaptrixError) -> LineAnswer:
    """The error that HTTP would give, for a line that no endpoint has seen."""
    return _with_response(batch, line, code_of(error).status, json.dumps(error_document(error)).encode())


def not_answered(batch: BatchRecord, line: BatchLine, code: str, message: str) -> LineAnswer:
    """Why a line has no answer at all."""
    told = {**_head(batch, line), "response": None, "error": {"code": code, "message": message}}
    return LineAnswer(line.number, "failed", json.dumps(told).encode() + b"\n")


def _with_response(batch: BatchRecord, line: BatchLine, status: int, document: bytes) -> LineAnswer:
    """The document goes in as it is, so that a long one is not read again. It is JSON in one line."""
    head = json.dumps(_head(batch, line))[:-1]
    response = json.dumps({"status_code": status, "request_id": request_id(batch, line)})[:-1]
    outcome: Outcome = "completed" if 200 <= status < 300 else "failed"
    data = f'{head}, "response": {response}, "body": '.encode() + document + b'}, "error": null}\n'
    return LineAnswer(line.number, outcome, data)


def _head(batch: BatchRecord, line: BatchLine) -> dict[str, Any]:
    return {"id": f"batch_req_{request_id(batch, line)}", "custom_id": line.custom_id}
