"""crabcan profile."""

from __future__ import annotations

import json
import os

from crabcan import profile
from crabcan.cli.options import Option, UsageError, help_text, parse
from crabcan.cli.report import fail, table
from crabcan.errors import Error

OPTIONS = (
    Option("", "--json", None, "with list: as JSON"),
    Option("-h", "--help", None, "show this help"),
)

HELP = """\
usage: crabcan profile list [--json]
       crabcan profile show NAME

List the profiles that `crabcan run --profile` takes by name, or show one with the reason for
each of its lines. Your own lie in ~/.config/crabcan/profiles, as NAME.toml: begin with

  crabcan profile show agent > ~/.config/crabcan/profiles/mine.toml

options:
{options}
"""


def run(words: list[str]) -> int:
    """Carry out ``crabcan profile`` and return the exit code."""
    head, rest = words[:1], words[1:]
    parsed = parse(OPTIONS, rest if head and not head[0].startswith("-") else words)
    if "help" in parsed.flags:
        print(HELP.format(options=help_text(OPTIONS)), end="")
        return 0
    if head == ["list"] and not parsed.rest:
        return _list("json" in parsed.flags)
    if head == ["show"] and len(parsed.rest) == 1:
        return _show(parsed.rest[0])
    raise UsageError("list, or show and a name, are to be given", "say: crabcan profile list")


def _list(as_json: bool) -> int:
    rows = [(name, _origin(path), _brief(path)) for name, path in sorted(profile.names().items())]
    if as_json:
        print(json.dumps([dict(zip(("name", "from", "what"), row, strict=True)) for row in rows]))
    else:
        table(("NAME", "FROM", "WHAT"), rows)
    return 0


def _origin(path: str) -> str:
    return "crabcan" if os.path.dirname(path) == profile.SHIPPED else path


def _brief(path: str) -> str:
    """Its first comment."""
    with open(path, encoding="utf-8", errors="replace") as file:
        first = file.readline().strip()
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def _show(name: str) -> int:
    try:
        path = profile.path_of(name)
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except (Error, OSError) as error:
        return fail(error, 125)
    print(f"# {path}\n\n{text}", end="")
    return 0
