"""JSON logs for the time of one test: a server sets its process's loggers once, for good."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from adaptrix_core.config.sections import ObserveSettings
from adaptrix_core.observe.logs import LOGGERS, JsonLines, start_logging


@contextmanager
def json_logs(settings: ObserveSettings) -> Iterator[None]:
    """Context in which records go to the place in ``settings``."""
    start_logging(settings)
    try:
        yield
    finally:
        for logger in map(logging.getLogger, LOGGERS):
            for handler in [each for each in logger.handlers if isinstance(each.formatter, JsonLines)]:
                logger.removeHandler(handler)
                handler.close()
            logger.setLevel(logging.NOTSET)
            logger.propagate = True
