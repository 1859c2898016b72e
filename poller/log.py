"""Logging: events are names with fields, on stderr, as text for people or JSON for machines."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

# Personal data and secrets never reach a log, whatever field or text they come in.
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_QUERY = re.compile(r"(?i)\b(access_token|refresh_token|code|pat|secret|client_secret|password|key)=[^&\s\"']+")
_SIGNING = re.compile(r"\bwhsec_[A-Za-z0-9+/=]+")
_USERINFO = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
_JOIN = re.compile(r"https?://[^\s\"']*/join/[^\s\"']+")

Format = Literal["console", "json"]


def configure(format_: Format = "console", level: str = "info") -> None:
    """Send everything to stderr; stdout belongs to results."""
    _write_to_stderr(format_, level)
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR, force=True)


def quiet() -> None:
    """Inside another program: structlog's own way would be stdout, every detail, and nothing left out of it.

    A program that has configured structlog itself is asked nothing; `redact` is there for its processors.
    """
    if not structlog.is_configured():
        _write_to_stderr("console", "info")


def _write_to_stderr(format_: Format, level: str) -> None:
    renderer: Any = structlog.processors.JSONRenderer()
    if format_ == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # looked up anew: it may be replaced
        cache_logger_on_first_use=False,
    )


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the last gate before a line is written."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = clean(value)
        elif isinstance(value, BaseException):
            event[name] = clean(str(value))
    return event


def clean(text: str) -> str:
    """`text` without e-mail addresses, tokens, signing secrets, passwords in URLs and join links."""
    text = _JOIN.sub("…", text)
    text = _BEARER.sub(r"\1 …", text)
    text = _QUERY.sub(r"\1=…", text)
    text = _SIGNING.sub("whsec_…", text)
    text = _USERINFO.sub("://…@", text)
    return _EMAIL.sub("…", text)
