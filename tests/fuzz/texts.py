"""What crabcan's Python reads: each target takes bytes, and lets only the promised errors pass.

`python tests/fuzz/texts.py TARGET [libFuzzer's arguments]` fuzzes one, with atheris.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from crabcan import _data, cgroup, limits, mounts, profile, seccomp, serialize, spec, subids, users
from crabcan.cli import arguments, options, values
from crabcan.errors import Error

REFUSED = (Error, options.UsageError)

_folder = tempfile.TemporaryDirectory(prefix="fuzz-")


def _file(name: str, data: bytes) -> str:
    path = Path(_folder.name, name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return str(path)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def profile_file(data: bytes) -> None:
    """A profile, from its file to a Spec."""
    known = {*spec.names(), "command", "rootfs"}
    with contextlib.suppress(*REFUSED):
        found = profile.load(_file("profile.toml", data), known=known)
        found.pop("rootfs", None)
        spec.Spec(found.pop("command", ["true"]), **found)


def spec_json(data: bytes) -> None:
    """A Spec as JSON; one that is accepted is the same after a round trip."""
    with contextlib.suppress(*REFUSED):
        found = serialize.from_json(_text(data))
        assert serialize.from_json(serialize.to_json(found)) == found


def seccomp_json(data: bytes) -> None:
    """A seccomp profile, through libseccomp."""
    with contextlib.suppress(*REFUSED):
        program = seccomp.compile_filter(_file("seccomp.json", data))
        assert len(program) % 8 == 0
    seccomp._known.clear()


def answer(data: bytes) -> None:
    """What a container's Python answers; what is accepted is the same when sent again."""
    try:
        value = _data.decode(data)
    except ValueError:
        return
    again = _data.decode(_data.encode(value))
    assert again == value or "nan" in repr(value).lower()  # which equals nothing


_WORDS: tuple[Callable[[str], object], ...] = (
    lambda word: limits.parse_size("memory", word),
    lambda word: values.mount("mount", word),
    lambda word: values.volume("volume", word),
    lambda word: values.tmpfs("tmpfs", word),
    lambda word: values.overlay("overlay", word),
    lambda word: values.octal("umask", [word]),
    lambda word: values.numbers("cpu-affinity", [word]),
    lambda word: limits.Limits.from_mapping(values.table("limits", [word])),
    lambda word: values.rlimits("rlimits", [word]),
    lambda word: values.landlock("landlock", [word]),
    lambda word: mounts.Tmpfs("/a", size=word),
    lambda word: spec.Spec(["true"], hostname=word, publish=[word]),
    lambda word: spec.Spec(["true"], rlimits=values.rlimits("rlimits", [word])),
)


def word(data: bytes) -> None:
    """A size, a mount, a limit, as they are written on the command line."""
    if data:
        with contextlib.suppress(*REFUSED):
            _WORDS[data[0] % len(_WORDS)](_text(data[1:]))


def command_line(data: bytes) -> None:
    """The words of `crabcan run`, with NUL bytes between them."""
    from crabcan.cli import run

    words = [word for word in _text(data).split("\0") if word != "-h"]
    with contextlib.suppress(*REFUSED):
        parsed = options.parse(run.OPTIONS, words)
        found = arguments.arguments_of(parsed)
        spec.Spec(arguments.command_of(parsed, found), **found)


def host_files(data: bytes) -> None:
    """Names in the kernel's tables, and files of a root that may be hostile."""
    first, _, rest = data.partition(b"\0")
    root, point = ("".join(_text(part).split()) or "/" for part in (first, rest))
    cgroup.parse(f"30 25 0:26 /{root} /{point} rw - cgroup2 cgroup2 rw\n", f"0::/{root}\n")
    _file("etc/passwd", first)
    _file("etc/group", rest)
    with contextlib.suppress(*REFUSED):
        users.look_up("user:group", _folder.name)
    list(subids._entries(_file("subuid", first)))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "profile": profile_file,
    "spec": spec_json,
    "seccomp": seccomp_json,
    "answer": answer,
    "word": word,
    "command_line": command_line,
    "host_files": host_files,
}


def main() -> None:
    import atheris

    target = TARGETS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
