r"""A container's timeline as a picture: a chart in text, or events for Perfetto.

Example:
    >>> import crabcan, crabcan.trace
    >>> with crabcan.Container(["true"]) as container:
    ...     container.create()
    ...     code = container.wait()
    ...     chart = crabcan.trace.chart(container.timeline, ran=container.usage.wall_time)
    >>> "cloning into new namespaces" in chart
    True

"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any

from crabcan import _core
from crabcan._draw import Look, fit, wrap
from crabcan._text import harmless
from crabcan.container import Container
from crabcan.timeline import Step

_Run = tuple[str, list[Step]]  # neighbours, and what they have in common

_COLOURS = {"caller": "cyan", "child": "green"}
_TITLES = {
    "caller": "caller: on the host, with your rights",
    "child": "child: in the new namespaces, until it becomes the command",
}
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_TIME = 7  # columns of a duration: "99.9 ms"
_AXIS = (1, 2, 5)  # marks are such multiples of a power of ten
_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))


class _Bar:
    """A line of the chart: one step, or many that belong together."""

    __slots__ = ("duration", "start", "text")

    def __init__(self, text: str, steps: Sequence[Step]) -> None:
        self.text = harmless(text)
        self.start = steps[0].start
        self.duration = sum(step.duration for step in steps)


def chart(
    steps: Iterable[Step],
    *,
    ran: float | None = None,
    width: int = 80,
    unicode: bool = True,
    colour: bool = False,
) -> str:
    """Each step as a bar, in the order of time; the many mounts of a directory as one.

    Args:
        steps: Container.timeline.
        ran: seconds that the command ran afterwards, Usage.wall_time; left out if not given.
        width: columns, from 60 to 120.
        unicode: blocks of eighths of a column; ``#`` otherwise.
        colour: by the escape sequences of terminals.

    Returns:
        lines without an end of line after the last; empty where there are no steps.

    Example:
        >>> from crabcan import Step, trace
        >>> step = Step(name="exec", index=0, text="executing", side="child", start=5, duration=1)
        >>> print(trace.chart([step], ran=0.5, width=60).splitlines()[-1])
        started in 1.00 s, ran for 500 ms

    """
    look = Look(width=width, unicode=unicode, colour=colour)
    listed = list(steps)
    if not listed:
        return ""
    first = min(step.start for step in listed)
    total = max(step.start + step.duration for step in listed) - first
    room = look.width * 21 // 40
    area = look.width - room - _TIME - 2
    lines = [" " * (room + _TIME + 2) + _ruler(total, area)]
    for side, title in _TITLES.items():
        lines.append(look.paint(title, "bold"))
        for bar in _bars([step for step in listed if step.side == side]):
            lines += _draw(bar, first, total, (room, area), look, _COLOURS[side])
    lines += ["", _summary(total, ran)]
    return look.text("\n".join(line.rstrip() for line in lines))


def _bars(steps: Sequence[Step]) -> list[_Bar]:
    """Each line of a side."""
    return [
        _Bar(_words(group), [step for _, some in group for step in some])
        for group in _alone_together(_runs(steps))
    ]


def _runs(steps: Iterable[Step]) -> list[_Run]:
    """Neighbours that do the same to parts of one thing."""
    runs: list[_Run] = []
    for step in steps:
        key = _place(step) if step.name == "mount" else step.name
        if runs and runs[-1][0] == key:
            runs[-1][1].append(step)
        else:
            runs.append((key, [step]))
    return runs


def _alone_together(runs: Iterable[_Run]) -> list[list[_Run]]:
    """Mounts that are the only one of their directory share a line with others such."""
    found: list[list[_Run]] = []
    for run in runs:
        if found and all(map(_is_single, [run, *found[-1]])):
            found[-1].append(run)
        else:
            found.append([run])
    return found


def _is_single(run: _Run) -> bool:
    return run[1][0].name == "mount" and len(run[1]) == 1


def _words(runs: Sequence[_Run]) -> str:
    """A step's own text; of many what they have in common."""
    count = sum(len(steps) for _, steps in runs)
    step = runs[0][1][0]
    if count == 1:
        return step.text
    if step.name == "mount":
        return f"{count} mounts: {', '.join(dict.fromkeys(place for place, _ in runs))}"
    return f"{dict(_core.STEPS).get(step.name, step.text)} ({count} times)"


def _place(step: Step) -> str:
    """The first directory of a mount's target, which its text ends with."""
    target = step.text[step.text.rfind(" /") + 1 :]
    return "/" + target.lstrip("/").partition("/")[0]


def _draw(
    bar: _Bar, first: float, total: float, sizes: tuple[int, int], look: Look, colour: str
) -> list[str]:
    room, area = sizes
    head, *more = wrap(look.text(bar.text), room - 2, most=2)
    drawn = look.paint(_blocks(bar.start - first, bar.duration, total, area, look), colour)
    time = f"{duration(bar.duration):>{_TIME}}"
    return [f"  {fit(head, room - 2)} {time} {drawn}", *(f"    {line}" for line in more)]


def _blocks(start: float, length: float, total: float, area: int, look: Look) -> str:
    """A bar at its place, to eighths of a column; the shortest still shows."""
    scale = area / total if total else 0
    column = min(int(start * scale), area - 1)
    eighths = min(max(round(length * scale * 8), 1), (area - column) * 8)
    if not look.unicode:
        return " " * column + ("#" * round(eighths / 8) or ".")
    return " " * column + "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _ruler(total: float, area: int) -> str:
    """Marks at round times, each at its column."""
    step = next(
        multiple * 10.0**power
        for power in range(-7, 9)
        for multiple in _AXIS
        if total / (multiple * 10.0**power) <= area / 9
    )
    line = ""
    for number in range(int(total / step) + 1):
        mark = f"│{_round(number * step)}"
        column = int(number * step * area / total) if total else 0
        if column + len(mark) <= area and column >= len(line):
            line = line.ljust(column) + mark
    return line


def _round(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:g}"


def duration(seconds: float) -> str:
    """A length of time in three digits.

    Example:
        >>> from crabcan import trace
        >>> trace.duration(0.0000051), trace.duration(0.00312), trace.duration(75)
        ('5.10 us', '3.12 ms', '75.0 s')

    """
    unit, size = next(
        ((unit, size) for unit, size in _UNITS if seconds >= 0.9995 * size), _UNITS[-1]
    )
    number = seconds / size
    return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f} {unit}"


def _summary(total: float, ran: float | None) -> str:
    after = "" if ran is None else f", ran for {duration(ran)}"
    return f"started in {duration(total)}{after}"


def trace_events(
    steps: Iterable[Step], *, ran: float | None = None, command: str = "the command"
) -> dict[str, Any]:
    """The steps in the Trace Event Format, as Perfetto (ui.perfetto.dev) opens it once it is JSON.

    Caller and container are processes. The mounts of a directory lie within one event. Times are
    microseconds since the first step.

    Args:
        steps: Container.timeline.
        ran: seconds that the command ran afterwards, Usage.wall_time; left out if not given.
        command: what its event is called.

    Returns:
        an object for json.dump().

    Example:
        >>> from crabcan import Step, trace
        >>> step = Step(name="exec", index=0, text="executing", side="child", start=5, duration=1)
        >>> event = trace.trace_events([step])["traceEvents"][-1]
        >>> event["name"], event["ph"], event["ts"], event["dur"]
        ('exec', 'X', 0.0, 1000000.0)

    """
    listed = list(steps)
    first = min((step.start for step in listed), default=0.0)
    spans: list[_Span] = []
    for side in _LANES:
        spans += _spans([step for step in listed if step.side == side], side, first)
    if ran is not None and listed:
        end = max(step.start + step.duration for step in listed)
        spans.append(("command", {"text": command}, "command", *_within(end, ran, first)))
    # Of two that begin together the longer one holds the other.
    spans.sort(key=lambda span: (span[3], -span[4]))
    return {
        "displayTimeUnit": "ms",
        "traceEvents": [*_names(), *(_event(*span) for span in spans)],
    }


# Name, arguments, lane, start and length in nanoseconds.
_Span = tuple[str, dict[str, Any], str, int, int]

# Where an event is shown: process and thread.
_LANES = {"caller": (1, 1), "child": (2, 1), "command": (2, 2)}


def _spans(steps: Sequence[Step], side: str, first: float) -> Iterable[_Span]:
    for run in _runs(steps):
        place, some = run
        if len(some) > 1:
            start, last = some[0].start, some[-1]
            length = last.start + last.duration - start
            yield (place, {"text": _words([run])}, side, *_within(start, length, first))
        for step in some:
            arguments = {"text": harmless(step.text), "index": step.index}
            yield (step.name, arguments, side, *_within(step.start, step.duration, first))


def _within(start: float, length: float, first: float) -> tuple[int, int]:
    """In whole nanoseconds, so that no two overlap by a rounding."""
    begin, end = round((start - first) * 1e9), round((start + length - first) * 1e9)
    return begin, end - begin


def _event(name: str, arguments: dict[str, Any], lane: str, start: int, length: int) -> Any:
    process, thread = _LANES[lane]
    return {
        "name": harmless(name),
        "cat": lane,
        "ph": "X",
        "ts": start / 1000,
        "dur": length / 1000,
        "pid": process,
        "tid": thread,
        "args": arguments,
    }


def _names() -> list[dict[str, Any]]:
    """Metadata: what processes and threads are called."""
    named = (
        ("process_name", "caller", "caller"),
        ("thread_name", "caller", "create()"),
        ("process_name", "child", "container"),
        ("thread_name", "child", "set-up"),
        ("thread_name", "command", "command"),
    )
    return [
        {
            "name": kind,
            "ph": "M",
            "pid": _LANES[lane][0],
            "tid": _LANES[lane][1],
            "args": {"name": name},
        }
        for kind, lane, name in named
    ]


def write(container: Container, file: IO[str] | None) -> None:
    """What ``crabcan run --trace`` leaves: JSON in a file, or a chart on stderr."""
    usage = container.usage
    ran = None if usage is None else usage.wall_time
    if file is not None:
        import json

        command = container.spec.command[0]
        json.dump(trace_events(container.timeline, ran=ran, command=command), file, indent=1)
        file.write("\n")
        return
    look = Look.of(sys.stderr)
    drawn = chart(
        container.timeline, ran=ran, width=look.width, unicode=look.unicode, colour=look.colour
    )
    if drawn:
        print(drawn, file=sys.stderr)
