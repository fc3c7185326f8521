"""The timeline as a chart, and as events for Perfetto."""

from __future__ import annotations

import doctest
import json
import os
import pty
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import crabcan
import crabcan.trace
from crabcan import Step, defaults
from crabcan.cli.options import Option, UsageError, parse

PROC = f"{1 + len(defaults.PROC_MASKED) + len(defaults.PROC_READONLY)} mounts: /proc"
COMMAND = [sys.executable, "-m", "crabcan", "run"]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def container() -> Iterator[crabcan.Container]:
    """One that has ended."""
    with crabcan.Container(["sleep", "0.05"], nice=5) as container:
        container.create()
        container.wait()
        yield container


def step(start: float, duration: float, **fields: Any) -> Step:
    given = {"name": "exec", "index": 0, "text": "executing", "side": "child", **fields}
    return Step(start=start, duration=duration, **given)


def test_examples() -> None:
    assert doctest.testmod(crabcan.trace).attempted > 3
    assert doctest.testmod(crabcan.trace).failed == 0


def test_chart_has_each_step(container: crabcan.Container) -> None:
    assert container.usage is not None
    chart = crabcan.trace.chart(container.timeline, ran=container.usage.wall_time)
    lines = chart.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 70
    assert "\033" not in chart
    # What is wrapped is put together again, the times and bars taken out.
    words = re.sub(r"\s+([\d.]+ (us|ms|s))? *[▏▎▍▌▋▊▉█]*\n? *", " ", chart)
    counts = Counter((s.side, s.name) for s in container.timeline)
    for one in container.timeline:
        if counts[one.side, one.name] == 1 and len(one.text) < 70:
            assert " ".join(one.text.split()) in words, one
    listed = [int(count) for count in re.findall(r"(\d+) mounts: ", chart)]
    assert sum(listed) == counts["child", "mount"]
    proc = [s for s in container.timeline if s.name == "mount" and "/proc/" in s.text + "/"]
    inside = [s for s in proc if " on /dev" not in s.text]
    (line,) = (line for line in lines if f"{len(inside)} mounts: /proc" in line)
    assert crabcan.trace.duration(sum(s.duration for s in inside)) in line
    assert lines.index(next(x for x in lines if x.startswith("caller"))) < lines.index(
        next(x for x in lines if x.startswith("child"))
    )
    first, last = container.timeline[0], container.timeline[-1]
    total = last.start + last.duration - first.start
    ran = crabcan.trace.duration(container.usage.wall_time)
    assert lines[-1] == f"started in {crabcan.trace.duration(total)}, ran for {ran}"


def test_bars_are_to_scale() -> None:
    steps = [
        step(10.0, 1.0, side="caller", text="one"),
        step(11.0, 2.0, text="two"),
        step(13.0, 1.0, text="three", name="spawn"),
    ]
    rows = crabcan.trace.chart(steps, width=100).splitlines()
    one, two, three = (next(row for row in rows if f"  {name} " in row) for name in
                       ("one", "two", "three"))  # fmt: skip
    assert one.index("█") + one.count("█") in (two.index("█"), two.index("█") - 1)
    assert abs(two.count("█") - 2 * one.count("█")) <= 1
    assert three.index("█") > two.rindex("█") - 1
    assert max(map(len, (one, two, three))) <= 100
    ruler = rows[0]
    assert abs(ruler.index("│2 s") - two.index("█") - one.count("█")) <= 1


def test_chart_in_ascii_and_in_colours() -> None:
    steps = [step(0.0, 1.0, text="nam\033]0;x\007é"), step(1.0, 1e-6, name="spawn")]
    plain = crabcan.trace.chart(steps, unicode=False)
    assert plain.isascii()
    assert "#" in plain
    assert "\033" not in plain
    assert r"\x1b]0;x\x07" in plain
    coloured = crabcan.trace.chart(steps, colour=True)
    assert "\033[32m█" in coloured
    removed = re.sub(r"\033\[\d*m", "", coloured)
    assert [line.rstrip() for line in removed.splitlines()] == crabcan.trace.chart(
        steps
    ).splitlines()
    assert crabcan.trace.chart([]) == ""


def check_events(trace: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """By the Trace Event Format's rules for what is used of it; gives the complete events."""
    assert set(trace) <= {"traceEvents", "displayTimeUnit", "otherData"}
    assert trace["displayTimeUnit"] in ("ms", "ns")
    threads: dict[tuple[int, int], list[tuple[int, int]]] = {}
    complete = []
    for event in trace["traceEvents"]:
        assert isinstance(event["name"], str)
        assert type(event["pid"]) is int
        assert type(event["tid"]) is int
        assert isinstance(event["args"], dict)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            assert isinstance(event["args"]["name"], str)
            continue
        assert event["ph"] == "X"
        assert set(event) == {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"}
        assert isinstance(event["ts"], float)
        assert isinstance(event["dur"], float)
        assert event["ts"] >= 0 <= event["dur"]
        begin = round(event["ts"] * 1000)
        span = (begin, begin + round(event["dur"] * 1000))
        threads.setdefault((event["pid"], event["tid"]), []).append(span)
        complete.append(event)
    assert [e["ts"] for e in complete] == sorted(e["ts"] for e in complete)
    for spans in threads.values():
        around: list[tuple[int, int]] = []
        for begin, end in spans:
            while around and around[-1][1] <= begin:
                around.pop()
            assert not around or end <= around[-1][1], "two overlap, neither within the other"
            around.append((begin, end))
    named = {
        (e["pid"], e["tid"]): e["args"]["name"]
        for e in trace["traceEvents"]
        if e["name"] == "thread_name"
    }
    assert set(named) >= set(threads)
    return complete


def test_trace_events(container: crabcan.Container) -> None:
    events = check_events(crabcan.trace.trace_events(container.timeline, ran=1.5, command="sleep"))
    texts = [event["args"]["text"] for event in events]
    assert all(" ".join(s.text.split()) in (" ".join(t.split()) for t in texts)
               for s in container.timeline)  # fmt: skip
    mounts = [event for event in events if event["name"] == "/proc"]
    assert [event["args"]["text"] for event in mounts] == [PROC]
    command = events[-1]
    assert (command["name"], command["dur"]) == ("command", 1.5e6)
    assert {event["pid"] for event in events if event["cat"] == "caller"} == {1}
    last = container.timeline[-1]
    executed = next(event for event in events if event["name"] == "exec")
    assert executed["dur"] == pytest.approx(last.duration * 1e6, abs=0.01)


def test_stdout_is_the_commands() -> None:
    done = run("--trace", "sh", "-c", "echo out; exit 7")
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr.splitlines()[-1].startswith("started in ")
    assert PROC in done.stderr
    assert "\033" not in done.stderr
    plain = run("--trace", "true", PYTHONIOENCODING="ascii")
    assert plain.stderr.isascii()
    assert "##" in plain.stderr


def test_into_a_file(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    done = run(f"--trace={file}", "sh", "-c", "echo out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "")
    events = check_events(json.loads(file.read_text()))
    assert events[-1]["args"]["text"] == "sh"
    refused = run(f"--trace={tmp_path}/none/trace.json", "sh", "-c", "echo out")
    assert (refused.returncode, refused.stdout) == (125, "")
    assert "none/trace.json" in refused.stderr


def test_of_one_that_fails_it_shows_how_far_that_came() -> None:
    done = run("--trace", "no-such-command")
    assert done.returncode == 127
    assert "executing the command no-such-command" in done.stderr
    assert "no such file" in done.stderr.splitlines()[-2]


def in_a_terminal(**environment: str) -> str:
    master, slave = pty.openpty()
    variables = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
    try:
        os.set_blocking(master, False)
        subprocess.run(
            [*COMMAND, "--trace", "true"],
            env={**variables, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=slave,
            timeout=60,
        )
        shown = b""
        try:
            while block := os.read(master, 1 << 16):
                shown += block
        except BlockingIOError:
            return shown.decode()
        return shown.decode()
    finally:
        os.close(master)
        os.close(slave)


def test_colours_are_for_terminals_that_want_them() -> None:
    assert "\033[36m█" in in_a_terminal()
    assert "\033" not in in_a_terminal(NO_COLOR="1")
    assert "\033" not in in_a_terminal(TERM="dumb")


def test_an_option_with_an_optional_value() -> None:
    table = (Option("", "--trace", "FILE", "", optional=True), Option("-x", "--ex", None, ""))
    parsed = parse(table, ["--trace", "-x", "command"])
    assert (parsed.flags, parsed.values, parsed.rest) == ({"trace", "ex"}, {}, ["command"])
    parsed = parse(table, ["--trace=a=b", "command"])
    assert (parsed.last("trace"), parsed.rest) == ("a=b", ["command"])
    with pytest.raises(UsageError, match="--trace lacks its value"):
        parse(table, ["--trace="])
    assert table[0].spelling == "    --trace[=FILE]"
