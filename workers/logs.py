"""Logging to stderr: a constant message and fields, one JSON object a line. Never a document's text."""

from __future__ import annotations

import json
import logging
import sys
import traceback

# only these fields are written: a field that nobody thought of cannot carry text
FIELDS = ("job_id", "pack", "student", "stage", "code", "n_documents", "n_cached", "n_findings", "n_refused", "n_swept", "seconds", "attempts", "error")


class JsonFormatter(logging.Formatter):
    """Level, logger, constant message, allowed fields; of an exception its type and places, never its message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {"at": self.formatTime(record), "level": record.levelname, "logger": record.name, "message": str(record.msg)}
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[0]:
            frames = traceback.extract_tb(record.exc_info[2])
            line["exception"] = record.exc_info[0].__name__
            line["trace"] = [f"{frame.filename}:{frame.lineno}" for frame in frames[-8:]]
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(level: int = logging.WARNING) -> None:
    """Routes all logging through the formatter above. `record.args` are dropped on purpose."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)


def notice(line: str) -> None:
    """What a long-running command tells beside its log: on a terminal a line for people, elsewhere, as under systemd, an object as the log's."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)
    else:
        print(JsonFormatter().format(logging.LogRecord("workers", logging.INFO, "", 0, line, (), None)), file=sys.stderr, flush=True)
