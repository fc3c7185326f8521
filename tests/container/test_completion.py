"""Completion in real shells, and the man pages and the reference, which are kept as generated."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import crabcan
from crabcan.cli import SUBCOMMANDS, reference

TOP = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

# How each is started without anybody's configuration, and told of the script.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {0}\n"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; source {0}\n"),
    "fish": (["fish", "--no-config", "-i"], "source {0}\n"),
}


class Shell:
    """One in a terminal of its own."""

    def __init__(self, name: str, script: Path) -> None:
        words, load = SHELLS[name]
        environment = {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "TERM": "xterm",
            "HOME": str(script.parent),
            "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
            "LANG": "C.UTF-8",
        }
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(words[0], words, environment)
        self.type(load.format(script) + "echo rea''dy\n")
        self.wait_for(b"ready")

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait_for(self, word: bytes) -> None:
        seen = b""
        deadline = time.monotonic() + 30
        while word not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([self.fd], [], [], 0.1)[0]:
                seen += os.read(self.fd, 4096)

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.mark.parametrize("name", SHELLS)
def test_in_a_real_shell(name: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    with script.open("w") as file:
        subprocess.run([BIN / "crabcan", "completion", name], stdout=file, check=True)
    named = crabcan.start(["sleep", "1000"], name="webserver")
    shell = Shell(name, script)
    try:
        for typed, completed in (
            ("unp", "unpause"),
            ("run --memo", "--memory"),
            ("run --network pas", "pasta"),
            ("run --cap-add net_ra", "net_raw"),
            ("kill --signal HU", "HUP"),
            ("stop webs", "webserver"),
        ):
            shell.type(f"crabcan {typed}\t")
            rest = completed.removeprefix(typed.split()[-1])
            shell.wait_for(rest.encode())
            shell.type("\x15")  # Ctrl-U
    finally:
        shell.close()
        named.kill()
        named.wait()
        named.remove()


def test_bash_takes_the_command_for_one(tmp_path: Path) -> None:
    script = subprocess.run([BIN / "crabcan", "completion", "bash"], capture_output=True, text=True)

    def complete(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _crabcan; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(
            ["bash", "-c", f"{script.stdout}\n{ask}"], capture_output=True, text=True, cwd=tmp_path
        )
        return done.stdout.split()

    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    assert "--memory" in complete("crabcan", "run", "-")
    assert complete("crabcan", "run", "--root", "d") == ["directory"]
    assert complete("crabcan", "run", "--env-file", "f") == ["file"]
    assert "sleep" in complete("crabcan", "run", "-m", "x", "slee")
    assert complete("crabcan", "run", "cat", "fi") == ["file"]
    assert complete("crabcan", "run", "cat", "--memo") == []
    assert complete("crabcan", "run", "--hostname", "x") == []
    assert complete("crabcan", "nothing", "x") == []


def test_a_shell_that_is_not_known() -> None:
    done = subprocess.run([BIN / "crabcan", "completion", "tcsh"], capture_output=True, text=True)
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 2


def test_every_subcommand_has_a_page() -> None:
    pages = list(reference.pages())
    assert [page.name for page in pages] == list(SUBCOMMANDS)
    for page in pages:
        assert page.what
        assert page.usage[0].startswith(f"crabcan {page.name}")


def test_man_pages_and_reference_are_those_that_are_generated(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-P", TOP / "docs" / "reference.py", tmp_path], check=True)
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(TOP / "docs") for path in (TOP / "docs" / "man").iterdir()}
    assert made == {*kept, Path("cli.md")}
    for path in made:
        assert (tmp_path / path).read_text() == (TOP / "docs" / path).read_text(), path


@pytest.mark.parametrize("page", sorted((TOP / "docs" / "man").glob("*.1")), ids=lambda p: p.name)
def test_man_pages_are_without_a_warning(page: Path) -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-Tutf8", page], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
