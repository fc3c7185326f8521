"""The rules that the layout stands for, read off the sources and the objects."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import crabcan
from crabcan import _core, _policy

SOURCES = Path(__file__).parents[2] / "csrc"
PACKAGE = Path(crabcan.__file__).parent

# Folder -> the folders of ours that it may include, crabcan.h counting as "api".
ALLOWED = {
    "plan": set[str](),
    "init": {"plan", "init"},
    "host": {"plan", "host", "api"},
    "policy": {"policy"},
    "python": {"plan", "policy", "python", "api"},
}


def includes(path: Path) -> list[Path]:
    names = re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE)
    return [(path.parent / name).resolve() for name in names]


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_include_directions(folder: str) -> None:
    for path in (SOURCES / folder).iterdir():
        for included in includes(path):
            assert included.is_file(), f"{path.name} includes {included}, which is not there"
            room = "api" if included == SOURCES / "crabcan.h" else included.parent.name
            if not (folder == room or room in ALLOWED[folder]):
                pytest.fail(f"{folder}/{path.name} may not include {room}/{included.name}")


def test_one_file_includes_python() -> None:
    found = [p.name for p in SOURCES.rglob("*.[ch]") if "Python.h>" in p.read_text()]
    assert found == ["binding.h"]


def test_stage0_calls_nothing(tmp_path: Path) -> None:
    target = tmp_path / "stage0.o"
    source = SOURCES / "host" / "stage0.c"
    subprocess.run(
        ["gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-c", source, "-o", target], check=True
    )
    symbols = subprocess.run(["nm", "-u", target], check=True, capture_output=True, text=True)
    undefined = {line.split()[-1] for line in symbols.stdout.splitlines()}
    assert undefined <= {"_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail", "memset", "memcpy"}


def test_poison_is_included_last_by_stage0() -> None:
    text = (SOURCES / "host" / "stage0.c").read_text()
    assert re.findall(r'^#include ["<]([^">]+)', text, re.MULTILINE)[-1] == "poison.h"


@pytest.mark.parametrize("module", [_core, _policy])
def test_stub_has_the_names_of_the_module(module: ModuleType) -> None:
    stub = (PACKAGE / f"{module.__name__.rpartition('.')[2]}.pyi").read_text()
    stubbed = set(re.findall(r"^(?:class |def )?(\w+)(?:[:(])", stub, re.MULTILINE)) - {"from"}
    real = {name for name in vars(module) if not name.startswith("__")}
    assert stubbed == real


def test_public_names_resolve() -> None:
    assert sorted(crabcan._HOMES) == sorted([*crabcan.__all__, "list"])
    for name in crabcan.__all__:
        assert getattr(crabcan, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        crabcan.no_such_name  # noqa: B018


LATE = ("subprocess", "argparse", "logging", "dataclasses", "shlex", "typing", "shutil", "json",
        "tomllib", "crabcan._policy", "crabcan.trace", "crabcan.timeline", "crabcan.explain",
        "crabcan._draw")  # fmt: skip


# And these only for a terminal.
TERMINAL = ("crabcan.terminal", "crabcan._interact", "termios", "tty", "select", "signal", "enum",
            "contextlib", "functools", "collections", "math")  # fmt: skip


@pytest.mark.parametrize(
    ("words", "late"), [(["run", "true"], LATE + TERMINAL), (["run", "-t", "true"], LATE)], ids=str
)
def test_import_is_lazy_and_so_is_a_run(words: list[str], late: tuple[str, ...]) -> None:
    script = (
        "import sys, crabcan.cli\n"
        f"assert crabcan.cli.main({words}) == 0\n"
        f"print([m for m in {late} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("module", [_core, _policy])
def test_extension_is_hardened_and_fits_later_pythons(module: ModuleType) -> None:
    path = Path(module.__file__ or "")
    assert path.name.endswith(".abi3.so")
    dynamic = subprocess.run(["readelf", "-dlW", path], capture_output=True, text=True, check=True)
    assert "NOW" in dynamic.stdout
    assert "GNU_RELRO" in dynamic.stdout
    assert re.search(r"GNU_STACK.* RW ", dynamic.stdout), "the stack is executable"
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True
    )
    assert [line.split()[-1] for line in symbols.stdout.splitlines()] == [
        f"PyInit_{module.__name__.rpartition('.')[2]}"
    ]
