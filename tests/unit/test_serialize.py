"""Specs and results as values: they compare, copy, pickle, and a Spec is TOML and JSON."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import crabcan
from crabcan import Join, Limits, Spec, spec

ODD = "odd \"'\\ \t\u00e9\u2028 \x01 \n[end]"

# An option, and a value that is not its default.
OPTIONS: dict[str, Any] = {
    "allow_syscalls": ["personality"],
    "capabilities": ["net_raw", "CAP_CHOWN"],
    "channel": False,
    "cpu_affinity": [0],
    "cwd": "/tmp",
    "default_mounts": False,
    "deny_syscalls": ["socket"],
    "env": {"A": ODD, "B": ""},
    "executable": "/bin/sh",
    "gid": 7,
    "groups": [5, 6],
    "hostname": "odd \"'\\ \u00e9 [end]",
    "landlock": crabcan.Landlock(read=["/"], write=["/tmp"], connect=[80], bind=[]),
    "limits": Limits(memory="64M", pids="max", cpus=0.5, cpu_time=1.5, output=7, swap=0),
    "mounts": [],  # below
    "namespaces": {"ipc": Join("/proc/self/ns/ipc"), "pid": "host", "cgroup": Join(pid=1)},
    "network": Join(pid=os.getpid()),
    "nice": 3,
    "oom_score_adj": 500,
    "publish": ["8080:80"],
    "rlimits": {"nofile": (64, 128), "core": "unlimited"},
    "root": "/usr",
    "root_idmap": False,
    "root_writable": True,
    "seccomp": "off",
    "tty": True,
    "uid": 5,
    "umask": 0o77,
    "user": "root",
    "userns": "subids",
}
BESIDE: dict[str, Any] = {"publish": {"network": "pasta"}, "root_writable": {"root": "/usr"}}

MOUNTS: list[Any] = [
    crabcan.Bind("/usr", "/mnt/usr", suid=True, exec=False, recursive=False, idmap=False),
    crabcan.Tmpfs("/work", size="3M", mode=0o700, dev=True),
    crabcan.Overlay("/layer", "/usr", size=4096),
    crabcan.Overlay("/kept", "/usr", upper="/tmp"),
    crabcan.Proc("/mnt/proc"),
    crabcan.Dev("/mnt/dev"),
    crabcan.Mqueue("/mnt/mqueue"),
    crabcan.Sysfs(),
    crabcan.File("/etc/text", ODD, mode=0o600),
    crabcan.File("/etc/bytes", b"\xff\0"),
    crabcan.Directory("/run/app", mode=0o700),
    crabcan.Symlink("/run/link", "../usr"),
]


def specs() -> dict[str, Spec]:
    found = {"plain": Spec(["true"]), "words": Spec([ODD, "", "-x"], channel=False)}
    for name, value in OPTIONS.items():
        found[name] = Spec(["true"], **{name: value}, **BESIDE.get(name, {}))
    for mount in MOUNTS:
        found[f"{type(mount).__name__} {mount.target}"] = Spec(["true"], mounts=[mount])
    found["all mounts"] = Spec(["true"], mounts=MOUNTS)
    found["shared uts"] = Spec(["true"], namespaces={"uts": "host"})
    found["user with a group"] = Spec(["true"], user="root:0", groups=[3], env={})
    return found


SPECS = specs()


def test_every_option_and_every_mount_is_here() -> None:
    assert set(OPTIONS) == spec.names()
    assert {type(mount).__name__.lower() for mount in MOUNTS} == set(crabcan.mounts.TYPES)
    changed = [name for name in OPTIONS if name != "mounts"]
    assert all(SPECS[name].arguments().keys() >= {name} for name in changed)


@pytest.mark.parametrize("name", SPECS)
def test_round_trips(name: str) -> None:
    one = SPECS[name]
    assert Spec(one.command, **one.arguments()) == one
    assert one.replace() == one
    assert Spec.from_json(one.to_json()) == one
    assert Spec.from_toml(one.to_toml()) == one
    assert tomllib.loads(one.to_toml()) == json.loads(one.to_json())
    assert hash(Spec.from_json(one.to_json())) == hash(one)


@pytest.mark.parametrize("name", SPECS)
def test_pickles_and_copies(name: str) -> None:
    one = SPECS[name]
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(one, protocol)) == one
    assert copy.copy(one) == copy.deepcopy(one) == one
    assert sum(one == other for other in SPECS.values()) == 1
    assert one != "a Spec"


def test_replace() -> None:
    one = Spec(["true"], hostname="moon", uid=5)
    assert one.replace(hostname="sun") == Spec(["true"], hostname="sun", uid=5)
    assert one.replace(gid=7).gid == 7
    with pytest.raises(crabcan.ArgumentInvalid, match="umask"):
        one.replace(umask=-5)


def test_names_of_files_that_are_not_utf8(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(odd)
    one = Spec(["true"], root=os.fsdecode(odd))
    assert Spec.from_json(one.to_json()) == one
    with pytest.raises(crabcan.ArgumentInvalid, match="write JSON"):
        one.to_toml()


def test_what_is_of_this_process_only() -> None:
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        for join in (Join(container=container), Join(pidfd=container.pidfd)):
            one = Spec(["true"], namespaces={"uts": join})
            for write in (one.to_json, one.to_toml):
                with pytest.raises(crabcan.ArgumentInvalid, match="this process only"):
                    write()
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(Spec(["true"], namespaces={"uts": container}))


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (Spec.from_json, "{", "no JSON"),
        (Spec.from_json, "[]", "give an object"),
        (Spec.from_json, '{"comand": ["true"]}', "did you mean 'command'"),
        (Spec.from_json, '{"command": []}', "give the program"),
        (Spec.from_json, "{}", "give the program"),
        (Spec.from_json, '{"command": ["true"], "mounts": [{"type": "bnd"}]}', "'bind'"),
        (Spec.from_toml, "command = ", "no TOML"),
        (Spec.from_toml, 'command = ["true"]\nhostnam = "a"', "did you mean 'hostname'"),
        (
            Spec.from_toml,
            'command = ["true"]\n[[mounts]]\ntype = "file"\ntarget = "/f"\ncontent_base64 = "!"',
            "content_base64",
        ),
    ],
)
def test_what_is_refused(read: Callable[[str], Spec], text: str, message: str) -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match=message):
        read(text)


def test_a_spec_is_a_profile_and_runs(tmp_path: Path) -> None:
    one = Spec(["sh", "-c", "hostname; echo $A"], hostname="moon", env={"A": "b", "PATH": "/bin"})
    one = one.replace(channel=False)
    (tmp_path / "spec.toml").write_text(one.to_toml())
    command = [sys.executable, "-m", "crabcan", "run", "--profile", str(tmp_path / "spec.toml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("moon\nb\n", "")
    here = crabcan.run(one, capture_output=True, text=True)
    assert (here.stdout, here.args) == ("moon\nb\n", list(one.command))
    with crabcan.Popen(one, stdout=crabcan.PIPE) as process:
        assert process.communicate() == (b"moon\nb\n", None)
    with pytest.raises(TypeError, match=r"spec\.replace\(umask="):
        crabcan.run(one, umask=0)


def test_a_spec_and_a_result_cross_to_another_process() -> None:
    script = (
        "import pickle, sys, crabcan\n"
        "spec = pickle.load(sys.stdin.buffer)\n"
        "pickle.dump(crabcan.run(spec, capture_output=True), sys.stdout.buffer)\n"
    )
    one = Spec(["sh", "-c", "echo out; exit 3"], channel=False)
    done = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps(one), capture_output=True, check=True
    )
    result = pickle.loads(done.stdout)
    assert (result.returncode, result.stdout, result.args) == (3, b"out\n", list(one.command))
    assert result.usage.wall_time > 0


def errors() -> list[BaseException]:
    """One of each class that can be raised, made as it is raised, or by hand."""
    found: list[BaseException] = []
    for args, options in (
        (["no-such-command"], {}),
        (["/etc/passwd"], {}),
        (["true"], {"cwd": "/no/such/directory"}),
        (["true"], {"hostname": ""}),
        (["true"], {"umask": "0"}),
        (["sleep", "60"], {"timeout": 0.1, "stdout": crabcan.PIPE}),
        (["sh", "-c", "echo x; exit 3"], {"check": True, "stdout": crabcan.PIPE}),
    ):
        with pytest.raises(crabcan.Error) as caught:
            crabcan.run(args, **options)
        found.append(caught.value)
    seen = {type(error) for error in found}
    for name in crabcan.__all__:
        kind = getattr(crabcan, name)
        if isinstance(kind, type) and issubclass(kind, crabcan.Error) and kind not in seen:
            error = kind(5, "why") if issubclass(kind, OSError) else kind("why")
            error.advice, error.code = "do that", 2
            if isinstance(error, crabcan.CallError):
                error.completed = crabcan.CompletedProcess(["x"], 3, None, b"printed")
            found.append(error)
    return found


def test_errors_pickle_with_all_that_they_tell() -> None:
    for error in errors():
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(error, protocol))
            assert type(again) is type(error)
            assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
        if isinstance(error, crabcan.SetupError) and error.step:
            assert (again.errno, again.filename) == (error.errno, error.filename)


def test_results_compare() -> None:
    one = crabcan.run(["echo", "x"], capture_output=True)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    other = copy.copy(one)
    other.stdout = b"y\n"
    assert other != one
    assert one.usage == copy.copy(one.usage)
