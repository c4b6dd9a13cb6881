"""Log records as JSON: one object per line, with the id of the request that the record belongs to.

Knows no request. Prompts get into a log only through a field that its caller adds.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from adaptrix_core.config.sections import ObserveSettings
from adaptrix_core.observe.ecs import ecs_document

LOGGERS = ("adaptrix_core", "deployments")

request_id: ContextVar[str | None] = ContextVar("adaptrix_request_id", default=None)
"""The request that is being served in this context."""


class JsonLines(logging.Formatter):
    """``time``, ``level``, ``logger``, ``message``, ``request_id`` where there is one, and the record's ``fields``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without a line feed."""
        return json.dumps(self._document(record), ensure_ascii=False, default=str)

    def _document(self, record: logging.LogRecord) -> dict[str, Any]:
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            document["request_id"] = current
        document |= getattr(record, "fields", {})
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return document


class EcsLines(JsonLines):
    """The same under the names of the Elastic Common Schema."""

    def _document(self, record: logging.LogRecord) -> dict[str, Any]:
        return ecs_document(super()._document(record))


def start_logging(settings: ObserveSettings) -> None:
    """Send this process's records to the place in ``settings``, if they are to be JSON.

    Several processes may append to one file: each line is one write.
    """
    if settings.logs == "text":
        return
    handler: logging.Handler = logging.StreamHandler()
    if settings.log_file is not None:
        # Reopens the file after log rotation has moved it.
        handler = logging.handlers.WatchedFileHandler(settings.log_file, encoding="utf-8")
    handler.setFormatter(EcsLines() if settings.logs == "ecs" else JsonLines())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
