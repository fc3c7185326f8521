"""crabcan root."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from crabcan import rootfs
from crabcan.cli.options import Option, UsageError, help_text, parse
from crabcan.cli.report import fail
from crabcan.errors import Error

OPTIONS = (
    Option("-f", "--from", "SOURCE", "busybox (default), debian, debian:SUITE, python, or a tar\n"
           "archive"),
    Option("-p", "--packages", "NAME,...", "Debian's, or Python's for pip"),
    Option("-h", "--help", None, "show this help"),
)  # fmt: skip

HELP = """\
usage: crabcan root create [OPTIONS] DIR

Make a root directory from what this machine has, for crabcan run --root.

  a small one                crabcan root create ./box
  the Python that runs       crabcan root create --from python --packages requests ./py
  Debian's packages          crabcan root create --from debian --packages gcc,make ./deb
  an archive                 crabcan root create --from ./root.tar.gz ./unpacked

options:
{options}
debian needs the program mmdebstrap. Archives are unpacked in a container; set-user-ID bits
and devices in them are left out.
"""


def run(words: list[str]) -> int:
    """Carry out ``crabcan root`` and return the exit code."""
    verb, rest = words[:1], words[1:]
    parsed = parse(OPTIONS, rest if verb == ["create"] else words)
    if "help" in parsed.flags:
        print(HELP.format(options=help_text(OPTIONS)), end="")
        return 0
    if verb != ["create"] or len(parsed.rest) != 1:
        raise UsageError("create and a directory are to be given", "say: crabcan root create DIR")
    packages = [name for word in parsed.values.get("packages", []) for name in word.split(",")]
    source = parsed.last("from") or "busybox"
    try:
        with _progress() as progress:
            rootfs.create(parsed.rest[0], source, packages=packages, progress=progress)
    except (Error, OSError) as error:
        return fail(error, 125)
    return 0


@contextlib.contextmanager
def _progress() -> Iterator[rootfs.Progress]:
    """A line that changes, where there is somebody to look; else one for each phase."""
    if not sys.stderr.isatty():
        yield lambda phase: print(f"crabcan: {phase}", file=sys.stderr, flush=True)
        return
    from rich.console import Console

    with Console(stderr=True).status("beginning") as status:
        yield status.update
