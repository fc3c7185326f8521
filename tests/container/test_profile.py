"""The same names in Python, on the command line and in a profile; and dry runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import crabcan
from crabcan import Bind, Landlock, Limits, Overlay, Spec, Tmpfs, profile, spec
from crabcan.cli import run as cli
from crabcan.cli.arguments import arguments_of
from crabcan.cli.options import UsageError, parse


def crabcan_run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crabcan", "run", *words], capture_output=True, text=True
    )


# One container, said three times.
PYTHON: dict[str, Any] = {
    "uid": 3,
    "gid": 4,
    "hostname": "moon",
    "cwd": "/tmp",
    "umask": 0o077,
    "env": {"A": "b=c"},
    "network": "none",
    "namespaces": {"uts": "new", "ipc": "host"},
    "capabilities": ["net_raw", "chown"],
    "deny_syscalls": ["bind"],
    "limits": Limits(memory="64M", pids=20, cpus=0.5),
    "rlimits": {"nofile": (64, 128), "core": 0},
    "nice": 5,
    "oom_score_adj": 1000,
    "cpu_affinity": [0],
    "landlock": Landlock(read=["/"], write=["/tmp"], connect=[443]),
    "mounts": [Bind("/usr", "/in", writable=False), Tmpfs("/t", size="1M", mode=0o700)],
}
WORDS = [
    "--uid", "3", "--gid=4", "--hostname", "moon", "--cwd", "/tmp", "--umask", "077",
    "--network", "none", "--namespaces", "uts=new", "--namespaces", "ipc=host",
    "--capabilities", "net_raw,chown", "--deny-syscalls", "bind",
    "--limits", "memory=64M,pids=20", "--limits", "cpus=0.5", "--rlimits", "nofile=64:128,core=0",
    "--nice", "5", "--oom-score-adj", "1000", "--cpu-affinity", "0",
    "--landlock", "read=/,write=/tmp,connect=443",
    "-v", "/usr:/in:ro", "--mounts", "tmpfs,target=/t,size=1M,mode=700",
]  # fmt: skip
TOML = """
uid = 3
gid = 4
hostname = "moon"
cwd = "/tmp"
umask = 0o077
network = "none"
capabilities = ["net_raw", "chown"]
deny_syscalls = ["bind"]
nice = 5
oom_score_adj = 1000
cpu_affinity = [0]
env = { A = "b=c" }
namespaces = { uts = "new", ipc = "host" }
limits = { memory = "64M", pids = 20, cpus = 0.5 }
rlimits = { nofile = [64, 128], core = 0 }
landlock = { read = ["/"], write = ["/tmp"], connect = [443] }

[[mounts]]
type = "bind"
source = "/usr"
target = "/in"

[[mounts]]
type = "tmpfs"
target = "/t"
size = "1M"
mode = 0o700
"""


def test_the_same_names_in_all_three(tmp_path: Path) -> None:
    wanted = Spec(["true"], **{**PYTHON, "channel": False})
    words = arguments_of(parse(cli.OPTIONS, WORDS))
    words["env"] = PYTHON["env"]  # on the command line it is added to the clean one
    assert Spec(["true"], **words) == wanted
    path = tmp_path / "p.toml"
    path.write_text(TOML)
    loaded = profile.load(path, known=spec.names())
    assert Spec(["true"], channel=False, **loaded) == wanted


def test_every_argument_is_an_option_of_the_command_line() -> None:
    options = {option.name for option in cli.OPTIONS}
    elsewhere = {
        "channel",  # nobody answers on the command line
        "root_idmap", "default_mounts",  # --no-...
    }  # fmt: skip
    assert spec.names() - elsewhere <= options
    assert {"no_root_idmap", "no_default_mounts"} <= options


def test_a_profile_is_run_and_what_is_given_wins(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "f").write_text("from the profile's directory\n")
    path = tmp_path / "p.toml"
    path.write_text(
        'command = ["sh", "-c", "hostname; id -u; echo $A $B; cat /in/f; [ -d /t ]"]\n'
        'hostname = "moon"\nuid = 3\nenv = { A = "1", B = "2" }\n'
        '[[mounts]]\ntype = "bind"\nsource = "data"\ntarget = "/in"\n'
    )
    done = crabcan_run("--profile", str(path), "-u", "7", "-e", "B=3", "--tmpfs", "/t")
    assert done.stdout.splitlines() == ["moon", "7", "1 3", "from the profile's directory"]
    assert done.returncode == 0, done.stderr
    other = crabcan_run("--profile", str(path), "echo", "instead")
    assert other.stdout == "instead\n"


def test_merge_of_limits() -> None:
    merged = profile.merge({"limits": Limits(memory="1G", pids=5)}, {"limits": Limits(pids=9)})
    assert merged["limits"] == Limits(memory="1G", pids=9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uid = 1\ngid = = 2", "no TOML.*line 2"),
        ("uidd = 1", "uidd.*did you mean 'uid'"),
        ("mounts = 3", "array of tables"),
        ('[[mounts]]\ntype = "bnid"', "did you mean 'bind'"),
        ('[[mounts]]\ntarget = "/x"', "type ="),
        ('[[mounts]]\ntype = "tmpfs"\ntraget = "/x"', "traget"),
        ("[limits]\nmemroy = 1", "did you mean 'memory'"),
        ('[limits]\npids = "many"', "limits"),
        ("limits = 3", "give a table"),
    ],
)
def test_a_profile_that_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(crabcan.ArgumentInvalid, match=message):
        profile.load(path, known=spec.names())
    done = crabcan_run("--profile", str(path), "true")
    assert done.returncode == 125
    assert done.stderr.startswith("crabcan: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["-v", "/usr"],
        ["-v", "/usr:/x:maybe"],
        ["-a", "/usr"],
        ["--limits", "memory"],
        ["--limits", "memroy=1"],
        ["--limits", "pids=many"],
        ["--namespaces", "ipc"],
        ["--umask", "9"],
        ["--nice", "low"],
        ["--rlimits", "nofile=lots"],
        ["--landlock", "raed=/"],
        ["--mounts", "tmpsf,target=/x"],
        ["--mounts", "tmpfs,traget=/x"],
        ["--capabilities", "net_adnim"],
        ["--seccomp", "/nonexistent"],
        ["--timeout", "soon"],
        ["--cpu-affinity", "a-b"],
        ["--network", "everywhere"],
        ["--userns", "mine"],
    ],
)
def test_words_that_are_refused(words: list[str]) -> None:
    done = crabcan_run(*words, "true")
    assert done.returncode == 125, done
    assert "Traceback" not in done.stderr, done.stderr
    what, advice = done.stderr.splitlines()
    assert what.startswith("crabcan: ")
    assert advice.startswith("  ")


def test_short_forms(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    words = ["-a", f"{tmp_path}:/a", "-v", f"{tmp_path}:/v:rw", "--overlay", f"{tmp_path}:/o"]
    parsed = parse(cli.OPTIONS, [*words, "--tmpfs", "/t:size=2M,mode=755"])
    assert arguments_of(parsed)["mounts"] == [
        Overlay("/o", tmp_path),
        Bind(tmp_path, "/a"),
        Bind(tmp_path, "/v", writable=True),
        Tmpfs("/t", size="2M", mode=0o755),
    ]
    with pytest.raises(UsageError):
        arguments_of(parse(cli.OPTIONS, ["-v", "x"]))


def test_a_file_on_the_command_line() -> None:
    done = crabcan_run("--mounts", "file,target=/n,content=123,mode=600", "--", "cat", "/n")
    assert done.stdout == "123", done.stderr


def test_timeout_and_limits_on_the_command_line() -> None:
    done = crabcan_run("--timeout", "0.3", "sleep", "60")
    assert (done.returncode, done.stdout) == (124, "")
    assert "timeout of 0.3 s" in done.stderr
    done = crabcan_run("--limits", "wall_time=0.3", "sleep", "60")
    assert done.returncode == 124
    assert "time limit" in done.stderr


def test_dry_run() -> None:
    done = crabcan_run("--dry-run", "--tmpfs", "/t", "--rlimits", "nofile=64", "touch", "/x")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    text = [line.split(None, 1)[1] for line in lines]
    order = [
        "cloning into new namespaces user, mount, pid, ipc, network, uts",
        "mounting proc on /proc",
        "mounting tmpfs on /t",
        "setting the capabilities 0x0",
        "setting the resource limit nofile to 64, at most 64",
        "executing the command touch",
    ]
    assert [text.index(line) for line in order] == sorted(text.index(line) for line in order)
    assert any("pids.max" in line or "limit nproc" in line for line in text)


def test_dry_run_as_json_says_what_is_traced() -> None:
    done = crabcan_run("--dry-run", "--json", "true")
    steps = json.loads(done.stdout)
    assert set(steps[0]) == {"step", "index", "text", "object"}
    debug = crabcan_run("--debug", "true").stderr.splitlines()
    traced = [line.split("] ", 1)[1] for line in debug if "crabcan.child]" in line][:-1]
    planned = [f"{s['text']} {s['object']}".rstrip() for s in steps]
    first = [s["step"] for s in steps].index("descriptors")
    names = [re.sub("hostname .*", "hostname", line) for line in planned[first:]]
    assert [re.sub("hostname .*", "hostname", line) for line in traced] == names


def test_dry_run_does_nothing(tmp_path: Path) -> None:
    target = tmp_path / "root"
    (target / "bin").mkdir(parents=True)
    done = crabcan_run("--dry-run", "--root", str(target), "--root-writable", "true")
    assert done.returncode == 0
    assert os.listdir(target) == ["bin"]
    assert crabcan_run("--dry-run", "--root", "/nonexistent", "true").returncode == 125
