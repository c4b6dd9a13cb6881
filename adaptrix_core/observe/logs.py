"""Log records as JSON: one object per line, with the id of the request that the record belongs to.

Knows no request. Prompts get into a log only through a field that its caller adds.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
from contextvars import ContextVar
from datetime import UTC, datetime

from adaptrix_core.config.sections import ObserveSettings

LOGGERS = ("adaptrix_core", "deployments")

request_id: ContextVar[str | None] = ContextVar("adaptrix_request_id", default=None)
"""The request that is being served in this context."""


class JsonLines(logging.Formatter):
    """``time``, ``level``, ``logger``, ``message``, ``request_id`` where there is one, and the record's ``fields``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without a line feed."""
        document = {
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
        return json.dumps(document, ensure_ascii=False, default=str)


def start_logging(settings: ObserveSettings) -> None:
    """Send this process's records to the place in ``settings``, if they are to be JSON.

    Several processes may append to one file: each line is one write.
    """
    if settings.logs != "json":
        return
    handler: logging.Handler = logging.StreamHandler()
    if settings.log_file is not None:
        # Reopens the file after log rotation has moved it.
        handler = logging.handlers.WatchedFileHandler(settings.log_file, encoding="utf-8")
    handler.setFormatter(JsonLines())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
