"""crabcan explain: the walls around a container, of a dry run and of one that runs."""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import crabcan
from crabcan import _core, _running, cgroup, defaults, explain, identity, syscalls
from crabcan._draw import cells

WALLS = ("namespaces", "mounts", "network", "ids", "capabilities", "system calls", "limits")


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crabcan", "explain", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def running(**options: Any) -> Mapping[str, Any]:
    """What is told of a container while it runs, by its init's number."""
    with crabcan.Container(["sleep", "60"], **options) as container:
        container.create()
        assert container.child_pid is not None
        return explain.running(container.child_pid)


def seen(facts: Mapping[str, Any]) -> dict[str, tuple[str, set[str]]]:
    """The mounts that both sources know of: by target, the kind and the flags."""
    passed_over = ("link", "directory", "masked", "protected")
    return {
        mount["target"]: (mount["kind"], set(mount["flags"]) - {"idmapped"})
        for mount in facts["mounts"]
        if mount["kind"] not in passed_over
    }


def test_examples() -> None:
    assert doctest.testmod(explain).attempted > 5
    assert doctest.testmod(explain).failed == 0


OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "narrow": {"limits": crabcan.Limits(pids=20), "rlimits": {"nofile": (64, 128)}},
    "wide": {
        "capabilities": ["net_raw", "sys_chroot"],
        "namespaces": {"ipc": "host"},
        "network": "host",
        "uid": 5,
        "mounts": [
            crabcan.Tmpfs("/work", size="1M"),
            crabcan.Bind("/usr/share", "/data", exec=False),
            crabcan.File("/etc/motd", "hello"),
        ],
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_dry_run_tells_what_then_runs(name: str) -> None:
    planned, found = explain.dry_run(["sleep", "60"], **OPTIONS[name]), running(**OPTIONS[name])
    assert planned["command"] == found["command"] == ["sleep", "60"]
    for key in ("kernel", "machine", "capabilities", "landlock"):
        assert planned[key] == found[key]
    assert planned["ids"] == {**found["ids"], "groups": planned["ids"]["groups"]}
    assert [n["state"].replace("new", "own") for n in planned["namespaces"]] == [
        n["state"] for n in found["namespaces"]
    ]
    assert seen(planned) == seen(found)
    masked = {m["target"] for m in found["mounts"] if m["kind"] in ("masked", "protected")}
    assert masked
    assert masked < {m["target"] for m in planned["mounts"]}
    assert planned["syscalls"]["filters"] == found["syscalls"]["filters"] == 1

    def limits(facts: Mapping[str, Any]) -> dict[str, Any]:
        return {
            limit["name"]: (limit["by"], int(limit["value"]) >> 12 << 12)  # in whole pages
            for limit in facts["limits"]
        }

    assert limits(planned) == limits(found)
    assert all(limit["now"] is not None for limit in found["limits"] if limit["path"])


def test_namespaces_of_one_that_runs() -> None:
    facts = running(namespaces={"uts": "host"})
    by_name = {namespace["name"]: namespace for namespace in facts["namespaces"]}
    assert by_name["uts"]["state"] == "host"
    assert by_name["uts"]["inode"] == os.stat("/proc/self/ns/uts").st_ino
    assert by_name["pid"]["state"] == "own"
    assert by_name["pid"]["inode"] != os.stat("/proc/self/ns/pid").st_ino
    assert facts["network"]["interfaces"] == ["lo"]


def test_any_process_inside_will_do() -> None:
    script = "sleep 60 & echo $!; wait"
    with crabcan.Popen(["sh", "-c", script], stdout=crabcan.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        shell = explain.running(process.pid)
        assert shell["command"][0] == "sh"
        children = Path(f"/proc/{shell['pid']}/task/{shell['pid']}/children").read_text().split()
        done = run("--pid", children[0])
        assert done.returncode == 0, done.stderr
        assert "sleep 60" in done.stdout
        process.kill()


def test_joined_namespaces(tmp_path: Path) -> None:
    with crabcan.Container(["sleep", "60"]) as other:
        other.create()
        facts = explain.dry_run(["true"], namespaces={"uts": crabcan.Join(pid=other.child_pid)})
    states = {namespace["name"]: namespace["state"] for namespace in facts["namespaces"]}
    assert states["uts"] == f"joined: that of process {other.child_pid}"
    assert states["user"].startswith("joined: ")
    assert states["pid"] == "new"
    assert facts["hostname"] is None
    assert "joined" in explain.picture(facts)


def test_system_calls() -> None:
    default = explain.dry_run(["true"])["syscalls"]
    assert default["allowed"] == len(syscalls.ALLOWED.split())
    assert default["refused"] == dict(sorted(syscalls.REFUSED.items()))
    assert "TIOCSTI" in default["by_arguments"]["ioctl"]
    changed = explain.dry_run(["true"], allow_syscalls=["bpf", "ioctl"], deny_syscalls=["sync"])
    assert changed["syscalls"]["allowed"] == default["allowed"]  # one more, one less
    assert "bpf" not in changed["syscalls"]["refused"]
    assert changed["syscalls"]["refused"]["sync"] == "by deny_syscalls"
    assert changed["syscalls"]["besides"] == ["bpf"]
    assert "ioctl" not in changed["syscalls"]["by_arguments"]
    assert "system calls, opened" in explain.picture(changed)
    assert "besides the usual bpf" in explain.picture(changed)
    off = explain.dry_run(["true"], seccomp="off")
    assert off["syscalls"]["filters"] == 0
    assert "system calls, opened" in explain.picture(off)
    assert running(seccomp="off")["syscalls"]["filters"] == 0


def test_limits_and_who_enforces_them() -> None:
    limits = crabcan.Limits(wall_time=9, pids=7)
    facts = explain.dry_run(["true"], limits=limits, rlimits={"nofile": 64})
    by_name = {limit["name"]: limit for limit in facts["limits"]}
    assert by_name["wall_time"]["by"] == "init"
    assert by_name["nofile"]["value"] == 64
    if "pids" in by_name:
        assert by_name["pids"]["value"] == 7
        assert re.fullmatch(r"cgroup v[12]", by_name["pids"]["by"])
        assert by_name["pids"]["path"].endswith(f"/{cgroup.PREFIX}-*")
    else:
        assert by_name["nproc"]["value"] == 8  # init has the same user
    assert by_name["core"] == {
        "name": "core",
        "value": defaults.RLIMITS["core"][0],
        "now": None,
        "by": "rlimit",
        "path": None,
    }
    with pytest.raises(crabcan.ArgumentInvalid):
        explain.dry_run(["true"], limits=limits, hostname="")


def test_groups_of_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By files as a kernel with that version alone has them; the numbers are those of a host."""
    group = tmp_path / "user.slice" / "crabcan-7-ab"
    group.mkdir(parents=True)
    files = {"memory.max": "67108864", "memory.current": "4096", "pids.max": "21",
             "pids.current": "3", "cpu.max": "50000 100000"}  # fmt: skip
    for name, text in files.items():
        (group / name).write_text(f"{text}\n")
    mountinfo = f"30 24 0:26 / {tmp_path} rw,nosuid - cgroup2 cgroup2 rw\n"
    texts = {"mountinfo": mountinfo, "cgroup": "0::/user.slice/crabcan-7-ab\n"}
    monkeypatch.setattr(_running, "_read", lambda _pid, name: texts[name])
    monkeypatch.setattr(cgroup, "hierarchies", lambda: cgroup.parse(mountinfo, "0::/user.slice\n"))
    found = {limit["name"]: (limit["now"], limit["value"]) for limit in _running._groups(7)}
    assert found == {"memory": (4096, 67108864), "pids": (2, 20), "cpus": (None, 0.5)}
    assert {(limit["by"], limit["path"]) for limit in _running._groups(7)} == {
        ("cgroup v2", str(group))
    }
    (group / "memory.max").write_text("max\n")
    assert "memory" not in [limit["name"] for limit in _running._groups(7)]
    monkeypatch.setattr(cgroup, "hierarchies", lambda: cgroup.parse(mountinfo, texts["cgroup"]))
    assert list(_running._groups(7)) == []  # the caller's own


def boxes(picture: str, width: int) -> list[str]:
    """The titles, from the outermost box; each line is as wide as the picture."""
    titles: list[str] = []
    depth = 0
    for line in picture.splitlines():
        assert cells(line) == width, line
        opened = re.match(r"(│*)┌─ (.*?) ─*┐(│*)$", line)
        closed = re.match(r"(│*)└─*┘(│*)$", line)
        if opened:
            assert len(opened[1]) == len(opened[3]) == depth
            titles.append(opened[2])
            depth += 1
        elif closed:
            depth -= 1
            assert len(closed[1]) == len(closed[2]) == depth
        else:
            assert line.startswith("│" * depth + " ")
            assert line.endswith(" " + "│" * depth)
    assert depth == 0
    return titles


@pytest.mark.parametrize("width", [60, 80, 113])
def test_picture_is_of_boxes_in_boxes(width: int) -> None:
    facts = explain.dry_run(["true", "and", "more"], hostname="moon")
    drawn = explain.picture(facts, width=width)
    assert boxes(drawn, width) == ["host", *WALLS, "the command"]
    assert "true and more on moon" in drawn
    assert f"{len(defaults.PROC_MASKED)} masked: " in drawn
    assert f"{len(defaults.PROC_READONLY)} read-only: bus, fs, irq, sys" in drawn
    assert "├─ usr (of the host, ro nosuid nodev" in drawn
    found = running()
    assert boxes(explain.picture(found, width=width), width) == [
        "host",
        *WALLS,
        f"the command: process {found['pid']}",
    ]


def test_picture_says_whose_the_ids_are() -> None:
    drawn = explain.picture(explain.dry_run(["true"]))
    if identity.is_privileged():
        assert re.search(r"uids +0 inside is \d{6,} outside, 65536 of them", drawn)
    else:
        assert f"0 inside is {os.geteuid()} outside (you); no others" in drawn


def test_what_is_opened_is_told(tmp_path: Path) -> None:
    facts = explain.dry_run(
        ["true"],
        network="host",
        capabilities=["net_raw"],
        mounts=[crabcan.Bind(tmp_path, "/out", writable=True)],
        landlock=crabcan.Landlock(read=["/"], connect=[80]) if _core.landlock_version() > 3 else
        None,
    )  # fmt: skip
    drawn = explain.picture(facts)
    titles = boxes(drawn, 80)
    for wall in ("namespaces", "mounts", "network", "capabilities"):
        assert f"{wall}, opened" in titles
    assert ("landlock" in titles) is (_core.landlock_version() > 3)
    assert "ids" in titles
    assert "SHARED with the host" in drawn
    assert "writable   /out" in drawn
    assert facts["mounts"][-1]["source"] == str(tmp_path)


def test_ids_of_the_host() -> None:
    if identity.is_privileged():
        facts = explain.dry_run(["true"], userns="host")
        assert facts["ids"]["uid_map"] is None
        assert "ids, opened" in boxes(explain.picture(facts), 80)
        assert "ids, opened" in boxes(explain.picture(running(userns="host")), 80)
    else:
        with pytest.raises(crabcan.ArgumentInvalid, match="userns"):
            explain.dry_run(["true"], userns="host")


def test_the_mounts_of_the_host() -> None:
    options: dict[str, Any] = {"namespaces": {"mount": "host"}}
    for facts in (explain.dry_run(["true"], **options), running(**options)):
        assert facts["mounts"] == []
        drawn = explain.picture(facts)
        assert "mounts, opened" in boxes(drawn, 80)
        assert "all of its own, as they are for you" in drawn


# What a terminal acts on, and what Python takes for the end of a line.
HOSTILE = "a\033]0;x\007\nb\u202e\u2028\x0b\x85│"


def test_what_is_hostile_is_made_visible() -> None:
    mounts = [crabcan.Tmpfs(f"/tmp/{HOSTILE}\t\\ 1")]
    with crabcan.Container(["sh", "-c", "sleep 60", HOSTILE], mounts=mounts) as container:
        container.create()
        assert container.child_pid is not None
        found = explain.running(container.child_pid)
    for facts in (found, explain.dry_run(["true", HOSTILE], mounts=mounts)):
        drawn = explain.picture(facts)
        assert all(character.isprintable() or character == "\n" for character in drawn)
        assert r"\x1b]0;x\x07" in drawn
        assert r"\u202e" in drawn
        assert len(set(map(cells, drawn.splitlines()))) == 1
    assert any(mount["target"].endswith("\\ 1") for mount in found["mounts"])


def test_wide_characters_and_long_paths(tmp_path: Path) -> None:
    long = f"/tmp/{'日本' * 30}/{'x' * 90}"
    deep = "/tmp" + "/d" * 40
    mounts = [crabcan.Tmpfs(long), crabcan.Tmpfs("/tmp/e\u0301"), crabcan.Tmpfs(deep)]
    drawn = explain.picture(explain.dry_run(["true"], mounts=mounts))
    boxes(drawn, 80)
    assert "日本日本" in drawn


def test_mounts_below_mounts_without_end() -> None:
    mounts = [crabcan.Tmpfs("/tmp" + "/d" * depth) for depth in range(1, 60)]
    mounts += [crabcan.Tmpfs(f"/tmp/many{number}", size=4096 * number) for number in range(200)]
    drawn = explain.picture(explain.dry_run(["true"], mounts=mounts))
    boxes(drawn, 80)
    assert "more lines" in drawn
    assert len(drawn.splitlines()) < 300


def test_a_command_line_without_end() -> None:
    with crabcan.Container(["sh", "-c", "sleep 60", "\u0301" * 60000, "a" * 60000]) as container:
        container.create()
        assert container.child_pid is not None
        facts = explain.running(container.child_pid)
    assert len("".join(facts["command"])) < 70000
    drawn = explain.picture(facts)
    assert len(drawn.splitlines()) < 200


def test_command_line() -> None:
    done = run("--hostname", "moon", "--", "ls", "-l")
    assert (done.returncode, done.stderr) == (0, "")
    assert boxes(done.stdout.rstrip("\n"), 80) == ["host", *WALLS, "the command"]
    assert "ls -l on moon" in done.stdout
    ascii = run("--tmpfs", "/tmp/日本é", "true", PYTHONIOENCODING="ascii").stdout
    assert ascii.isascii()
    assert "+- host ---" in ascii
    assert r"\u65e5" in ascii
    assert {len(line) for line in ascii.splitlines()} == {80}


def test_json_is_the_same_data() -> None:
    done = run("--json", "--hostname", "moon", "true")
    assert json.loads(done.stdout) == explain.dry_run(["true"], hostname="moon", channel=False)
    with crabcan.Container(["sleep", "60"]) as container:
        container.create()
        assert container.child_pid is not None
        told = json.loads(run("--json", "--pid", str(container.child_pid)).stdout)
        found = explain.running(container.child_pid)
        for facts in (told, found):
            for limit in facts["limits"]:
                limit.pop("now")
        assert told == found


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--pid", "4194305"], "a process that runs"),
        (["--pid", str(os.getpid())], "in none"),
        (["--pid", "x"], "write --pid 1234"),
        (["--pid", "1", "true"], "give one"),
        (["--uid", "x", "true"], "--uid"),
        (["--root", "/nonexistent", "true"], "/nonexistent"),
        ([], "no command was given"),
    ],
)
def test_what_is_refused(words: list[str], told: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (125, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_that_of_another_is_refused() -> None:
    """Root may look at what is in no container, if the host has it so."""
    told = r"in none|of yours" if os.geteuid() == 0 else "of yours"
    assert re.search(told, run("--pid", "1").stderr)


def test_a_reader_that_has_seen_enough() -> None:
    command = f"{sys.executable} -m crabcan explain true | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.stdout[:6], done.stdout[-2:], done.stderr) == ("┌─ hos", "0\n", "")


def test_kept_picture_is_one_of_these() -> None:
    """docs/pictures, by `make pictures`."""
    pictures = Path(__file__).parents[2] / "docs" / "pictures"
    kept = (pictures / "explain.txt").read_text().rstrip("\n")
    assert boxes(kept, 80) == ["host", *WALLS, "the command"]
    svg = (pictures / "explain.svg").read_text()
    assert all(title in svg for title in WALLS)


def test_help() -> None:
    done = run("--help")
    assert done.returncode == 0
    for words in ("--pid PID", "--mount DIR", "--capabilities", "--json"):
        assert words in done.stdout
    assert "--trace" not in done.stdout
