"""Logging of all processes: one JSON object a line, or text for people (`LASTLEG_LOG=text`)."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

job: ContextVar[str | None] = ContextVar("job", default=None)
"""The RQ job that this process works on: a field of each line it writes."""

FIELDS = {"asctime": "at", "levelname": "level", "name": "logger"}


def setup(style: str, level: int = logging.INFO) -> None:
    """Send everything to stderr in one style. What is passed as `extra=` becomes fields of the object."""
    handler = logging.StreamHandler(sys.stderr)
    text = "%(asctime)s %(levelname)s %(name)s %(message)s"
    handler.setFormatter(JsonFormatter(text, rename_fields=FIELDS) if style == "json" else logging.Formatter(text))
    handler.addFilter(_with_job)
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _with_job(record: logging.LogRecord) -> bool:
    if job.get() is not None:
        record.job = job.get()
    return True
