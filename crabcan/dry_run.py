"""What a container would be made of: the plan's steps, in order, without taking them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crabcan import _core
from crabcan._resources import Resources
from crabcan.compile import compile_plan, namespaces_to_join
from crabcan.spec import Spec

if TYPE_CHECKING:
    from crabcan.spec import Command


def steps(command: Command, **options: Any) -> Iterator[tuple[str, int, str, str]]:
    """The steps of the plan: name, which of several, what is done, and to what.

    Raises:
        ArgumentInvalid, NotSupported: as Container would.

    """
    spec = Spec(command, **options)
    # Made and removed at once: whether a limit can be enforced is not to be known otherwise.
    resources = Resources()
    try:
        resources.take(spec)
        limits = resources.describe()
        groups = resources.group_count
    finally:
        resources.release()
    with namespaces_to_join(spec) as joined:
        plan = compile_plan(spec, joined=joined, stand_ins=resources.stand_ins, group_count=groups)
    for number, (name, doing) in enumerate(_core.STEPS):
        if number == _core.STEP_GROUPS:
            for index, line in enumerate(limits):
                yield name, index, f"{doing}:", line
        elif number == _core.STEP_CONNECT:
            if spec.network == "pasta":
                yield name, 0, f"{doing} by", " ".join(("pasta", *spec.publish))
        else:
            for index in range(plan.step_count(number)):
                yield name, index, doing, plan.describe(number, index).strip().replace("\n", ", ")


def describe(command: Command, options: dict[str, Any], *, as_json: bool) -> str:
    """The steps as text, a line each, or as a JSON array of objects."""
    rows = list(steps(command, **options))
    if not as_json:
        return "\n".join(
            f"{number:3}  {f'{doing} {what}'.rstrip()}"
            for number, (_, _, doing, what) in enumerate(rows, 1)
        )
    import json

    fields = ("step", "index", "text", "object")
    return json.dumps([dict(zip(fields, row, strict=True)) for row in rows], indent=2)
