"""Logging that costs nothing until somebody has imported `logging`."""

from __future__ import annotations

import sys


def debug(name: str, text: str, *args: object) -> None:
    """Log at level DEBUG, where a program that uses logging can see it."""
    _log("debug", name, text, args)


def info(name: str, text: str, *args: object) -> None:
    """Log at level INFO, where a program that uses logging can see it."""
    _log("info", name, text, args)


def _log(level: str, name: str, text: str, args: tuple[object, ...]) -> None:
    # Nobody can have set up a handler without it, and importing it costs several launches.
    logging = sys.modules.get("logging")
    if logging is not None:
        getattr(logging.getLogger(name), level)(text, *args)


def wants_debug(name: str) -> bool:
    """Whether a DEBUG line of this logger would be shown to anybody."""
    logging = sys.modules.get("logging")
    return logging is not None and bool(logging.getLogger(name).isEnabledFor(logging.DEBUG))
