"""How a container came to be: each step, when it began and how long it took."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

from crabcan import _core
from crabcan._value import Value

_MOMENT = struct.Struct("=IIQ")  # struct crab_moment
_NONE = len(_core.STEPS)  # the number that stands for none: something else began then

# (step, index, nanoseconds)
_Moment = tuple[int, int, int]


class Step(Value):
    """One step of a container's creation.

    Attributes:
        name: the step's name, as in SetupError.step.
        index: which of several, for mounts and the like.
        text: what was done, to what.
        side: ``"caller"`` or ``"child"``. The child waits for the caller to have mapped its ids;
            from then on they go on side by side.
        start: seconds, by the clock of time.monotonic().
        duration: seconds.

    Example:
        >>> import crabcan
        >>> with crabcan.Container(["true"]) as container:
        ...     container.create()
        ...     [step.name for step in container.timeline if step.side == "child"][-1]
        'exec'

    See clock_gettime(2), CLOCK_MONOTONIC.

    """

    __slots__ = ("name", "index", "text", "side", "start", "duration")

    name: str
    index: int
    text: str
    side: str
    start: float
    duration: float

    def __init__(
        self, *, name: str, index: int, text: str, side: str, start: float, duration: float
    ) -> None:
        self._set(name=name, index=index, text=text, side=side, start=start, duration=duration)


def steps(
    plan: _core.Plan,
    marks: Iterable[tuple[int, int]],
    caller: bytes,
    child: bytes,
    started: int,
) -> tuple[Step, ...]:
    """The steps in the order of their beginning.

    Args:
        plan: which tells what a step works on.
        marks: (step, nanoseconds) of what Python does itself.
        caller: the core's own steps, an array of struct crab_moment.
        child: so those inside.
        started: when the last of them ended, nanoseconds; 0 where it failed.

    """
    ours = [(step, 0, when) for step, when in marks]
    moments = sorted([*ours, *_MOMENT.iter_unpack(caller)], key=lambda moment: moment[2])
    inside = list(_MOMENT.iter_unpack(child))
    if started:
        inside.append((_NONE, 0, started))
    found = [*_lasting(plan, "caller", moments), *_lasting(plan, "child", inside)]
    return tuple(sorted(found, key=lambda step: step.start))


def _lasting(plan: _core.Plan, side: str, moments: Sequence[_Moment]) -> Iterator[Step]:
    """Each until the next; the last one has no length if nothing tells its end."""
    ends = [*(moment[2] for moment in moments[1:]), moments[-1][2] if moments else 0]
    for (number, index, start), end in zip(moments, ends, strict=True):
        if number == _NONE:
            continue
        name, doing = _core.STEPS[number]
        yield Step(
            name=name,
            index=index,
            text=f"{doing} {plan.describe(number, index)}".rstrip(),
            side=side,
            start=start / 1e9,
            duration=max(end - start, 0) / 1e9,
        )
