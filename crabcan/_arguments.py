"""subprocess's arguments, by the names that it gives them, as Container takes them."""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Callable, Iterable, Sequence

from crabcan import _check
from crabcan.errors import invalid
from crabcan.spec import Spec, spec_of

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from typing import Any

    from crabcan.pool import Pool
    from crabcan.spec import Command, SubprocessOptions

SHELL = "/bin/sh"

# What subprocess can do to a child and a container has anyway, or cannot have: the values that mean
# no more than what is so, and what to do for the others.
_FIXED: dict[str, tuple[tuple[object, ...], str]] = {
    "preexec_fn": ((None,), "nothing of Python runs in the child: there are options for most that "
                   "it would do (cwd, umask, user, rlimits, nice, pass_fds)"),
    "close_fds": ((True,), "the container gets no descriptor but its streams: name others in "
                  "pass_fds"),
    "restore_signals": ((True,), "a container begins with all signals at their default"),
    "start_new_session": ((True, False), "a container's command always has a session of its own"),
    "process_group": ((None, 0, -1), "the command leads a process group of its own: it can join "
                      "none of the caller's"),
    "startupinfo": ((None,), "it is of Windows"),
    "creationflags": ((0,), "it is of Windows"),
}  # fmt: skip


def of_subprocess(
    args: Command | Spec,
    options: SubprocessOptions,
    pass_fds: Iterable[int] = (),
    pool: Pool | None = None,
) -> Spec:
    """The Spec that they stand for, or the one that is given.

    Raises:
        ArgumentInvalid: a value is refused, or what has no meaning for a container is asked for.

    """
    if isinstance(args, Spec):
        if pool is not None:
            raise invalid("args", args, "give the command: the pool has the options")
        return spec_of(args, options)
    given: dict[str, Any] = {**options}
    if pass_fds and not given.get("close_fds", True):
        warnings.warn("pass_fds overriding close_fds.", RuntimeWarning, stacklevel=3)
        del given["close_fds"]
    for name, (harmless, why) in _FIXED.items():
        value = given.pop(name, harmless[0])
        if value not in harmless:
            raise invalid(name, value, why)
    if given.pop("shell", False):
        args = _shell(args, given.get("executable"))
    _groups(given)
    if given.get("umask") == -1:  # as in subprocess: not to be changed
        del given["umask"]
    given.setdefault("channel", False)
    return Spec(args, **given) if pool is None else pool._spec_of(args, given)


def command_of(args: Command | Spec) -> Command:
    """What a result and an exception have as `args`."""
    return list(args.command) if isinstance(args, Spec) else args


def _shell(args: Command, shell: Any) -> Command:
    if isinstance(args, os.PathLike):
        raise TypeError("args: a path is no text for a shell: give a string")
    words = [args] if isinstance(args, str | bytes) or not isinstance(args, Sequence) else args
    return [shell or SHELL, "-c", *words]


def _groups(given: dict[str, Any]) -> None:
    """`group` and `extra_groups`, ids or names of the root's own, as gid and groups."""
    for name, option, convert in _GROUP_NAMES:
        value = given.pop(name, None)
        if value is None:
            continue
        if given.get(option) is not None:
            raise invalid(name, value, f"give {name} or {option}, not both")
        given[option] = convert(name, value, given.get("root"))


def _group(field: str, value: object, root: Any) -> int:
    if isinstance(value, str):
        from crabcan import users

        return users.group_id(field, value, None if root is None else _check.text("root", root))
    return _check.identity(field, value)


def _extra_groups(field: str, value: object, root: Any) -> list[int]:
    if not _check.is_iterable(value):
        raise _check.wrong_type(field, value, "a list of group ids or names")
    return [_group(f"{field}[{i}]", group, root) for i, group in enumerate(value)]


_GROUP_NAMES: tuple[tuple[str, str, Callable[[str, object, Any], object]], ...] = (
    ("group", "gid", _group),
    ("extra_groups", "groups", _extra_groups),
)


def text_mode(text: bool | None, universal_newlines: bool | None) -> bool | None:
    """Either name, as subprocess has it."""
    if None not in (text, universal_newlines) and bool(text) != bool(universal_newlines):
        raise subprocess.SubprocessError(
            "text and universal_newlines are two names of one thing: give one of them"
        )
    return text if text is not None else universal_newlines
