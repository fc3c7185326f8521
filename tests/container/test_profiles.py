"""The shipped profiles, from inside, and how profiles are found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import crabcan
from crabcan import profile

ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own profiles, none yet; and a directory to stand in."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    own = tmp_path / "config" / "crabcan" / "profiles"
    own.mkdir(parents=True)
    return own


def cli(*words: str, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crabcan", *words],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def judged(script: str) -> subprocess.CompletedProcess[str] | None:
    """None where it is refused as it should be: who has no groups has no limits of memory."""
    done = cli("run", "--profile", "judge", "--", "python3", "-c", script)
    if not ROOT and done.returncode == 125:
        assert re.match(r"crabcan: limits\.\w+: .* is not to be had here", done.stderr)
        return None
    return done


def test_judge_lets_a_submission_compute() -> None:
    done = judged("import os; print(6*7, os.getcwd()); open('file', 'w').write('x')")
    if done is not None:
        assert (done.stdout, done.stderr, done.returncode) == ("42 /work\n", "", 0)


FORKS = """
import os, time
for _ in range(100):
    if os.fork() == 0:
        time.sleep(9)
"""


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("x = bytearray(1 << 30)", 137, "memory limit"),
        ("while True: pass", 124, "time limit"),
        ("while True: print('x' * 1000)", 137, "limit of output"),
        (FORKS, 1, "BlockingIOError"),
        ("open('f', 'wb').write(bytes(20 << 20))", 1, "File too large"),
        ("import socket; socket.create_connection(('192.0.2.1', 80), 1)", 1, "unreachable"),
    ],
)
def test_judge_holds(script: str, code: int, said: str) -> None:
    done = judged(script)
    if done is not None:
        assert done.returncode == code
        assert said in done.stderr


def test_build_leaves_the_directory_as_it_was(tmp_path: Path) -> None:
    Path("kept").write_text("old")
    script = "echo new >kept; echo made >made; pwd; cat kept"
    done = cli("run", "--profile", "build", "--", "sh", "-c", script)
    assert done.stdout == f"{os.getcwd()}\nnew\n", done.stderr
    assert os.listdir() == ["kept"]
    assert Path("kept").read_text() == "old"
    out = tmp_path / "out"
    out.mkdir()
    done = cli("run", "--profile", "build", "--export", str(out), "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert {p.name: p.read_text() for p in (out / "upper").iterdir()} == {
        "kept": "new\n",
        "made": "made\n",
    }
    assert os.listdir() == ["kept"]
    assert "there are 0" in cli("run", "--export", str(out), "true").stderr


def test_shell() -> None:
    done = cli("run", "--profile", "shell")
    assert done.returncode == 0, done.stderr
    assert "@crabcan:" in done.stdout


def test_python_and_nothing_else() -> None:
    script = "import ssl, sqlite3, ctypes, json, pytest, crabcan, sys; print(sys.version_info[:2])"
    done = cli("run", "--profile", "python", "--", "python3", "-c", script)
    assert done.stdout == f"{sys.version_info[:2]}\n", done.stderr
    for program in ("sh", "/bin/sh", "/usr/bin/env", "ls", "perl"):
        assert cli("run", "--profile", "python", "--", program).returncode == 127
    script = "import os; print(sorted(os.listdir('/')), os.path.exists('/usr/share/doc'))"
    done = cli("run", "--profile", "python", "--", "python3", "-c", script)
    assert "'home'" not in done.stdout
    assert done.stdout.endswith("False\n")


def test_agent_may_write_to_one_directory() -> None:
    script = (
        "echo hi >made; pwd; echo $HOME; touch /usr/x /etc/x || true; ls /sys/class/net || true"
    )
    done = cli("run", "--profile", "agent", "--", "sh", "-c", script)
    assert done.stdout == "/work\n/work\n"
    assert done.stderr.count("Read-only file system") == 2
    assert Path("made").read_text() == "hi\n"
    network = "import socket; print([name for _, name in socket.if_nameindex()])"
    assert cli("run", "--profile", "agent", "--", "python3", "-c", network).stdout == "['lo']\n"


@pytest.mark.parametrize("path", sorted(Path(profile.SHIPPED).iterdir()), ids=lambda p: p.name)
def test_each_line_has_its_reason(path: Path) -> None:
    """A comment on it, or on the lines that it stands among."""
    text = path.read_text()
    assert text.startswith("# ")
    for block in text.split("\n\n"):
        settings = [line for line in block.splitlines() if re.match(r"\w+ = ", line)]
        bare = [line for line in settings if "#" not in line and not line.startswith("type")]
        assert not bare or "#" in block or block.startswith("[[mounts]]"), block
    tomllib.loads(text)


def test_names_and_files(config: Path) -> None:
    assert sorted(profile.names()) == ["agent", "build", "judge", "python", "shell"]
    (config / "mine.toml").write_text('# Mine.\nhostname = "moon"\n')
    (config / "agent.toml").write_text('hostname = "sun"\n')
    (config / "readme.txt").write_text("")
    assert cli("run", "--profile", "mine", "hostname").stdout == "moon\n"
    assert cli("run", "--profile", "agent", "hostname").stdout == "sun\n"
    Path("mine").write_text('hostname = "file"\n')
    assert cli("run", "--profile", "./mine", "hostname").stdout == "file\n"
    assert "did you mean 'mine'" in cli("run", "--profile", "mien", "true").stderr
    listed = {row["name"]: row for row in json.loads(cli("profile", "list", "--json").stdout)}
    assert listed["mine"] == {"name": "mine", "from": str(config / "mine.toml"), "what": "Mine."}
    assert listed["judge"]["from"] == "crabcan"
    shown = cli("profile", "show", "judge").stdout
    assert shown.startswith("# /")
    assert shown.endswith((Path(profile.SHIPPED) / "judge.toml").read_text())
    assert "judge" in cli("profile", "list").stdout
    for words in (["profile"], ["profile", "show"], ["profile", "shwo", "x"]):
        assert len(cli(*words).stderr.splitlines()) == 2
    assert "did you mean 'judge'" in cli("profile", "show", "jugde").stderr


def test_placeholders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "p.toml"
    text = 'command = ["true"]\ncwd = "${PWD}"\nhostname = "${PWD}"\n[[mounts]]\ntype = "bind"\n'
    path.write_text(text + 'source = "${HOME}/here"\ntarget = "/x/${PWD}"\n')
    spec = crabcan.Spec.from_profile(path)
    assert spec.cwd == os.getcwd()
    assert spec.hostname == "${PWD}"  # no path
    (bind,) = spec.mounts
    assert (getattr(bind, "source", ""), bind.target) == (
        f"{tmp_path}/here",
        f"/x{os.getcwd()}",
    )
    path.write_text('cwd = "${PDW}"\n')
    with pytest.raises(crabcan.ArgumentInvalid, match=r"'PDW' .*did you mean 'PWD'"):
        crabcan.Spec.from_profile(path, ["true"])


def test_from_python() -> None:
    spec = crabcan.Spec.from_profile("agent", ["sh", "-c", "echo $HOME $A; pwd"], env={"A": "b"})
    spec = spec.replace(channel=False)
    assert crabcan.run(spec, capture_output=True).stdout.startswith(b"/work b\n")
    assert crabcan.Spec.from_profile("shell").command == ("bash",)
    with pytest.raises(crabcan.ArgumentInvalid, match="give the program"):
        crabcan.Spec.from_profile("agent")
