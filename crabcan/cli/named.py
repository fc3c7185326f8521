"""The subcommands for named containers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import crabcan
from crabcan import _keeper, _processes
from crabcan._text import harmless
from crabcan.cli import values
from crabcan.cli.options import Option, Parsed, UsageError, help_text, parse
from crabcan.cli.report import exit_code, fail, table
from crabcan.errors import CommandNotExecutable, CommandNotFound, ContainerError, Error
from crabcan.named import GRACE, Named

HELP = Option("-h", "--help", None, "show this help")
JSON = Option("", "--json", None, "as JSON")

DETACH_KEYS = b"\x10\x11"  # Ctrl-P Ctrl-Q, as docker has it


class Command:
    """One subcommand: its usage, what it does, its options, and the function."""

    def __init__(
        self, words: str, what: str, run: Callable[[Parsed], int], *options: Option
    ) -> None:
        self.words = words
        self.what = what
        self.run = run
        self.options = (*options, HELP)


def run(name: str, words: list[str]) -> int:
    """Carry out a subcommand and return the exit code."""
    command = COMMANDS[name]
    parsed = parse(command.options, words)
    if "help" in parsed.flags:
        print(f"usage: crabcan {name} {command.words}\n\n{command.what}\n\noptions:\n"
              f"{help_text(command.options)}", end="")  # fmt: skip
        return 0
    try:
        return command.run(parsed)
    except CommandNotFound as error:
        return fail(error, 127)
    except CommandNotExecutable as error:
        return fail(error, 126)
    except (Error, OSError) as error:
        return fail(error, 125)


def _one(parsed: Parsed) -> Named:
    if len(parsed.rest) != 1:
        raise UsageError("one container is to be named", "see them: crabcan ps")
    return crabcan.get(parsed.rest[0])


def _some(parsed: Parsed) -> list[Named]:
    if not parsed.rest:
        raise UsageError("no container was named", "see them: crabcan ps")
    return [crabcan.get(name) for name in parsed.rest]


def _ps(parsed: Parsed) -> int:
    found = crabcan.list(all="all" in parsed.flags)
    if "json" in parsed.flags:
        print(json.dumps([named.state for named in found], indent=2))
    elif "quiet" in parsed.flags:
        print("".join(f"{named.name}\n" for named in found), end="")
    else:
        rows = [
            (named.name, named.status, _ago(named.created), str(named.pid),
             harmless(" ".join(named.command)))
            for named in found
        ]  # fmt: skip
        table(("NAME", "STATUS", "CREATED", "PID", "COMMAND"), rows)
    return 0


def _ago(when: float) -> str:
    seconds = max(time.time() - when, 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _exec(parsed: Parsed) -> int:
    name, *command = parsed.rest or [""]
    if not command:
        raise UsageError("a container and a command are to be named", "crabcan exec NAME COMMAND")
    named = crabcan.get(name)
    options: dict[str, Any] = {"cwd": parsed.last("workdir"), "tty": "tty" in parsed.flags}
    if "env" in parsed.values:
        inside = named.state.get("spec", {}).get("env", {})
        options["env"] = {**inside, **values.environment("env", parsed.values["env"])}
    with named.exec(command, **options) as process:
        if process.terminal is not None:
            from crabcan import _interact

            _interact.connect(process._container, process.terminal, 0, 1, None)
        else:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
                signal.signal(number, lambda signum, _frame: process.send_signal(signum))
        return exit_code(process.wait())


class _Attached:
    """What _interact.connect() needs of a container, of one that goes on without us."""

    def __init__(self, end: Any) -> None:
        self.pidfd = end.fileno()

    def close(self) -> None:
        """It goes on."""


def _attach(parsed: Parsed) -> int:
    named = _one(parsed)
    talk, end = named._connect(), named._connect()
    if talk is None or end is None:
        raise ContainerError(f"{named.name}: it has ended: see crabcan logs {named.name}")
    with talk, end:
        _keeper.send(talk, {"do": "attach"})
        answer, fds = _keeper.receive(talk)
        crabcan.named.done(answer)
        _keeper.send(end, {"do": "wait"})
        if named.state.get("tty"):
            return _attach_terminal(named, fds[0], _Attached(end))
    return _attach_streams(named, fds)


def _attach_terminal(named: Named, fd: int, attached: Any) -> int:
    from crabcan import _interact
    from crabcan.terminal import Terminal

    with Terminal(fd) as terminal:
        left = not _interact.connect(attached, terminal, 0, 1, None, leave=DETACH_KEYS)
    if left:
        print(f"\r\ncrabcan: {named.name} goes on", file=sys.stderr)
        return 0
    return exit_code(named.wait())


def _attach_streams(named: Named, fds: list[int]) -> int:
    if fds:
        threading.Thread(target=_copy_input, args=(fds[0],), daemon=True).start()
    for chunk in named.follow():
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    return exit_code(named.wait())


def _copy_input(fd: int) -> None:
    with contextlib.suppress(OSError):
        while chunk := os.read(0, 65536):
            os.write(fd, chunk)
    os.close(fd)


def _logs(parsed: Parsed) -> int:
    named = _one(parsed)
    out = sys.stdout.buffer
    follow = named.follow() if "follow" in parsed.flags else iter(())
    out.write(named.logs())
    out.flush()
    for chunk in follow:
        out.write(chunk)
        out.flush()
    return 0


def _kill(parsed: Parsed) -> int:
    number = _signal(parsed.last("signal") or "KILL")
    for named in _some(parsed):
        named.send_signal(number)
        if number == signal.SIGKILL:
            named.wait()
    return 0


def _signal(text: str) -> int:
    if text.isdecimal() and 0 < int(text) < signal.NSIG:
        return int(text)
    name = f"SIG{text.upper().removeprefix('SIG')}"
    if name not in signal.Signals.__members__:
        from difflib import get_close_matches

        close = get_close_matches(name, signal.Signals.__members__, n=1)
        advice = f"did you mean {close[0]}?" if close else "give TERM, KILL, ..."
        raise UsageError(f"there is no signal {text!r}", advice)
    return int(signal.Signals[name])


def _stop(parsed: Parsed) -> int:
    given = parsed.last("time")
    try:
        grace = GRACE if given is None else float(given)
    except ValueError:
        raise UsageError(f"--time {given!r} is no number", "write --time 2.5") from None
    for named in _some(parsed):
        named.stop(grace)
    return 0


def _wait(parsed: Parsed) -> int:
    for named in _some(parsed):
        print(exit_code(named.wait()))
    return 0


def _pause(parsed: Parsed) -> int:
    for named in _some(parsed):
        named.pause()
    return 0


def _unpause(parsed: Parsed) -> int:
    for named in _some(parsed):
        named.unpause()
    return 0


def _rm(parsed: Parsed) -> int:
    for named in _some(parsed):
        if "force" in parsed.flags and named.is_running:
            named.kill()
            named.wait()
        named.remove()
    return 0


def _inspect(parsed: Parsed) -> int:
    print(json.dumps([named.state for named in _some(parsed)], indent=2))
    return 0


def _stats(parsed: Parsed) -> int:
    found = _some(parsed) if parsed.rest else crabcan.list()
    first = {named.name: _measured(named) for named in found}
    time.sleep(0.2)
    rows = [_row(named, first[named.name], _measured(named)) for named in found]
    if "json" in parsed.flags:
        print(json.dumps([dict(zip(("name", "cpus", "memory", "pids"), r, strict=True))
                          for r in rows]))  # fmt: skip
    else:
        table(STATS, [shown(row) for row in rows])
    return 0


STATS = ("NAME", "CPU", "MEMORY", "PIDS")


def _measured(named: Named) -> tuple[float, dict[str, float]]:
    return time.monotonic(), _processes.usage(named.pid or 0) if named.is_running else {}


Row = tuple[str, float, float, float]


def _row(named: Named, before: Any, after: Any) -> Row:
    seconds = after[0] - before[0]
    used = after[1].get("cpu_time", 0) - before[1].get("cpu_time", 0)
    return named.name, max(used, 0) / seconds, after[1].get("memory", 0), after[1].get("pids", 0)


def shown(row: Row) -> tuple[str, ...]:
    """Per cent, MiB, and how many."""
    name, cpus, memory, pids = row
    return name, f"{cpus * 100:.0f} %", f"{memory / 2**20:.1f} MiB", str(int(pids))


def _top(parsed: Parsed) -> int:
    from crabcan.cli import top

    return top.run(parsed)


COMMANDS = {
    "ps": Command(
        "[--all]", "List your named containers.", _ps,
        Option("-a", "--all", None, "also those that have ended"),
        Option("-q", "--quiet", None, "names alone"), JSON,
    ),
    "exec": Command(
        "[OPTIONS] NAME COMMAND [ARG...]",
        "Run a further command in a container, behind the same walls.", _exec,
        Option("-t", "--tty", None, "a terminal for it, connected with yours"),
        Option("-i", "--interactive", None, "stdin is yours, which is the default"),
        Option("-e", "--env", "NAME[=VALUE]", "add to the container's environment; repeat"),
        Option("-w", "--workdir", "DIR", "working directory inside"),
    ),
    "attach": Command(
        "NAME", "Connect your terminal, or your streams, with a detached container's.\n"
        "Ctrl-P Ctrl-Q leaves a terminal; the container goes on.", _attach,
    ),
    "logs": Command(
        "[--follow] NAME", "Show what a detached container has written.", _logs,
        Option("-f", "--follow", None, "and what it writes from now on, until it ends"),
    ),
    "kill": Command(
        "[--signal NAME] NAME...", "End containers at once, or send their command a signal.", _kill,
        Option("-s", "--signal", "SIGNAL", "TERM, HUP, ... (default: KILL)"),
    ),
    "stop": Command(
        "[--time SECONDS] NAME...", "Ask containers to end, and kill them if they do not.", _stop,
        Option("-t", "--time", "SECONDS", "how long to wait before the kill (default: 10)"),
    ),
    "wait": Command("NAME...", "Wait for containers to end, and print their exit codes.", _wait),
    "pause": Command("NAME...", "Stop every process in containers, until unpause.", _pause),
    "unpause": Command("NAME...", "Let every process in containers go on.", _unpause),
    "inspect": Command("NAME...", "Show all that is known of containers, as JSON.", _inspect),
    "stats": Command(
        "[NAME...]", "Show what running containers use: CPU, memory, processes.", _stats, JSON,
    ),
    "top": Command(
        "", "Show the same of all of yours, live. q leaves.", _top,
        Option("-n", "--count", "NUMBER", "draw that often, and leave"),
        Option("", "--interval", "SECONDS", "between two pictures (default: 1)"),
    ),
    "rm": Command(
        "[--force] NAME...", "Forget containers that have ended, with their logs.", _rm,
        Option("-f", "--force", None, "kill those that run"),
    ),
}  # fmt: skip
