"""Text from inside a container, before it is shown."""

from __future__ import annotations


def harmless(text: str) -> str:
    """Without what a terminal would act on: control characters become their escapes."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def tail(data: bytes | str | None, size: int) -> str:
    """The last of an output, harmless."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data or ""
    return harmless(text.rstrip()[-size:])
