"""What calls a function in a container. Executed by its text there, after that of _data.py.

stdin gives the call, pickled by whoever made the container; stdout takes the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crabcan._data import encode


def serve() -> None:
    """Take the call, make it, answer, and end."""
    import os
    import sys

    # The function has stdin and stdout to itself; what it prints goes where stderr goes.
    call, answer = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    with open(call, "rb") as file:
        pickled = file.read()
    message = answer_of(pickled)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with open(answer, "wb") as file:
        file.write(message)
    # Not by sys.exit(): a thread that the function has left would keep it.
    os._exit(0)


def answer_of(pickled: bytes) -> bytes:
    """The value, or what was raised."""
    import pickle

    try:
        function, args, kwargs = pickle.loads(pickled)
        return encode(("value", function(*args, **kwargs)))
    except BaseException as error:
        return encode(("raised", *described(error)))


def described(error: BaseException) -> tuple[str, str, Any, str, str]:
    """Module and name of its class, its arguments, its words, and its traceback."""
    import traceback

    kind = type(error)
    # Without our own frame.
    frames = error.__traceback__ and error.__traceback__.tb_next
    text = "".join(traceback.format_exception(kind, error, frames))
    return kind.__module__, kind.__qualname__, sendable(error.args), worded(str, error), text


def sendable(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments; in words those that cannot be sent."""
    sent = []
    for arg in args:
        try:
            encode(arg)
        except (TypeError, RecursionError):
            arg = worded(repr, arg)
        sent.append(arg)
    return tuple(sent)


def worded(how: Callable[[Any], str], value: Any) -> str:
    """Its words, which a class may fail to give."""
    try:
        return str(how(value))
    except Exception as error:
        return f"<{type(value).__name__}, whose words raise {type(error).__name__}>"
