"""The figures of docs/benchmarks.md: each beside what it is to be compared with, in one run.

Ratios are of medians; what is compared takes turns, so that whatever else the machine does meets
both. `python tests/bench/figures.py DIRECTORY` writes figures.json, figures.md and figures.svg
there; with --short it only shows that it works. Needs gcc, busybox-static and root for all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from rich.progress import Progress

import crabcan

HERE = Path(__file__).parent
COMMAND = ["/bin/true"]
Samples = dict[str, list[float]]  # milliseconds


class Row:
    """One comparison: its name, what is compared, and the ratio that is wanted at most."""

    def __init__(
        self,
        name: str,
        what: str,
        samples: Samples,
        *,
        ours: str,
        base: str,
        target: float,
        least: bool = False,
        unit: str = "ms",
        ratio: float | None = None,
    ) -> None:
        self.name, self.what, self.samples = name, what, samples
        self.ours, self.base, self.target, self.least, self.unit = ours, base, target, least, unit
        self._ratio = ratio

    @property
    def ratio(self) -> float:
        """The median of ours by that of the base."""
        if self._ratio is not None:
            return self._ratio
        return statistics.median(self.samples[self.ours]) / statistics.median(
            self.samples[self.base]
        )

    @property
    def met(self) -> bool:
        """Whether the target is."""
        return self.ratio >= self.target if self.least else self.ratio <= self.target

    def as_json(self) -> dict[str, Any]:
        """All that was measured."""
        return {
            "name": self.name, "what": self.what, "ours": self.ours, "base": self.base,
            "ratio": round(self.ratio, 3), "target": self.target,
            "wanted": "at least" if self.least else "at most", "met": self.met, "unit": self.unit,
            "quartiles": {name: [round(v, 4) for v in quartiles(values)]
                          for name, values in self.samples.items()},
            "count": {name: len(values) for name, values in self.samples.items()},
        }  # fmt: skip


def quartiles(values: list[float]) -> list[float]:
    """Lower, median, upper."""
    return statistics.quantiles(values, n=4) if len(values) > 1 else values * 3


def timed(call: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def take_turns(kinds: dict[str, Callable[[], float]], rounds: int) -> Samples:
    """Each kind once in a round; the first rounds are not counted."""
    samples: Samples = {name: [] for name in kinds}
    warm_up = max(1, rounds // 20)
    for number in range(rounds + warm_up):
        for name, measure in kinds.items():
            value = measure()
            if number >= warm_up:
                samples[name].append(value)
    return samples


@contextmanager
def asked(*command: str) -> Iterator[tuple[IO[str], IO[str]]]:
    """A program that answers lines with lines, until its input ends."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as server:
        assert server.stdin
        assert server.stdout
        yield server.stdin, server.stdout
        server.stdin.close()


class Bench:
    """What the figures share: a root, the compiled programs, and how long to measure."""

    def __init__(self, folder: Path, short: bool) -> None:
        self.short = short
        self.left_out: dict[str, str] = {}
        self.root = folder / "root"
        self.folder = folder
        (self.root / "bin").mkdir(parents=True)
        for name in ("proc", "dev", "tmp", "sys"):
            (self.root / name).mkdir()
        busybox = shutil.which("busybox", path="/bin:/usr/bin") or "/bin/busybox"
        shutil.copy(busybox, self.root / "bin" / "busybox")
        for applet in ("true", "sh", "head", "sleep"):
            (self.root / "bin" / applet).symlink_to("busybox")
        self.true = str(self.root / "bin" / "true")
        self.floor_program = self._compiled("floor")
        shutil.copy(self._compiled("echo"), self.root / "bin" / "echo-booleans")

    def _compiled(self, name: str) -> str:
        program = str(self.folder / name)
        source = str(HERE / f"{name}.c")
        subprocess.run(
            ["gcc", "-O2", "-static", "-pthread", "-o", program, source], check=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return program

    def rounds(self, full: int) -> int:
        """How many, or few in the short form."""
        return 3 if self.short else full

    @contextmanager
    def floor(self) -> Iterator[Callable[[int, int, int], float]]:
        """A function: milliseconds of `count` launches, `alive` at once, in each of `threads`."""
        with asked(self.floor_program, str(self.root), COMMAND[0]) as (stdin, stdout):

            def launch(count: int, alive: int, threads: int) -> float:
                stdin.write(f"{count} {alive} {threads}\n")
                return int(stdout.readline()) / 1e6

            yield launch

    def run(self) -> float:
        """One container by crabcan.run."""
        return timed(lambda: crabcan.run(COMMAND, root=self.root))


def launch(bench: Bench) -> Row:
    """F1."""
    with bench.floor() as floor:
        samples = take_turns(
            {"crabcan.run": bench.run, "floor": lambda: floor(1, 1, 1)}, bench.rounds(1000)
        )
    return Row("F1", "one container, all walls, beside the kernel's own price", samples,
               ours="crabcan.run", base="floor", target=1.3)  # fmt: skip


def bwrap(root: Path) -> list[str]:
    """The nearest to the defaults that its options give."""
    return ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv",
            "--cap-drop", "ALL", "--hostname", "moon", "--ro-bind", str(root), "/",
            "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", *COMMAND]  # fmt: skip


def starts(bench: Bench, name: str, kind: Callable[[], float]) -> bool:
    """Whether a peer works on this host at all."""
    try:
        kind()
    except subprocess.CalledProcessError as error:
        bench.left_out[name] = f"does not start here (exit code {error.returncode})"
        return False
    return True


def bundle(bench: Bench) -> Path:
    """A directory as OCI runtimes take it, with the same command."""
    folder = bench.folder / "bundle"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").unlink(missing_ok=True)
    tool = "crun" if shutil.which("crun") else "runc"
    subprocess.run([tool, "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    config["root"] = {"path": str(bench.root), "readonly": True}
    config["process"].update(args=COMMAND, terminal=False)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def peers(bench: Bench) -> Row:
    """F2: whatever of them is here."""
    kinds: dict[str, Callable[[], float]] = {"crabcan.run": bench.run}

    def started(*command: str, cwd: Path | None = None) -> Callable[[], float]:
        return lambda: timed(lambda: subprocess.run(command, cwd=cwd, check=True,
                                                    stderr=subprocess.DEVNULL))  # fmt: skip

    if shutil.which("bwrap"):
        kinds["bwrap"] = started(*bwrap(bench.root))
    if shutil.which("crun"):
        kinds["crun"] = started("crun", "--cgroup-manager=disabled", "run", "bench",
                                cwd=bundle(bench))  # fmt: skip
    if shutil.which("runc"):
        kinds["runc"] = started("runc", "run", "bench", cwd=bundle(bench))
    if shutil.which("nsjail"):
        kinds["nsjail"] = started("nsjail", "-Mo", "-Q", "--chroot", str(bench.root), "--",
                                  *COMMAND)  # fmt: skip
    kinds = {name: kind for name, kind in kinds.items() if starts(bench, name, kind)}
    kinds["unshare"] = started("unshare", "-Urmpfuin", "--mount-proc", *COMMAND)
    samples = take_turns(kinds, bench.rounds(200))
    base = "bwrap" if "bwrap" in kinds else "unshare"
    return Row("F2", "the same beside the tools that people start by subprocess.run", samples,
               ours="crabcan.run", base=base, target=0.35)  # fmt: skip


def runc(bench: Bench, row: Row) -> Row | None:
    """F2's other target, of the same run."""
    if "runc" not in row.samples:
        return None
    return Row("F2", "the same beside runc run", row.samples, ours="crabcan.run", base="runc",
               target=0.06)  # fmt: skip


def pool(bench: Bench) -> Row:
    """F3."""
    with crabcan.Pool(size=8, root=bench.root) as made:

        def pooled() -> float:
            made.wait_ready()
            time.sleep(0.01)  # what the thread does after a run is no part of the next
            return timed(lambda: made.run(COMMAND))

        def bare() -> float:
            return timed(lambda: subprocess.run([bench.true]))

        kinds = {"Pool.run": pooled, "subprocess.run": bare}
        samples = take_turns(kinds, bench.rounds(500))
    return Row("F3", "from a warm pool, beside subprocess.run with no isolation", samples,
               ours="Pool.run", base="subprocess.run", target=1.0)  # fmt: skip


SERVER = """
import sys, time, crabcan
heap = bytearray(int(sys.argv[2]))
for page in range(0, len(heap), 4096):
    heap[page] = 1
print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    crabcan.run(["/bin/true"], root=sys.argv[1])
    print((time.perf_counter() - start) * 1e3, flush=True)
"""


@contextmanager
def caller(bench: Bench, heap: int) -> Iterator[Callable[[], float]]:
    """A process with such a heap, that launches when asked to."""
    command = [sys.executable, "-P", "-c", SERVER, str(bench.root), str(heap)]
    with asked(*command) as (stdin, stdout):
        stdout.readline()

        def launch() -> float:
            stdin.write("\n")
            return float(stdout.readline())

        yield launch


def heap(bench: Bench) -> Row:
    """F4."""
    size = 64 << 20 if bench.short else 8 << 30
    with caller(bench, size) as large, caller(bench, 0) as small:
        samples = take_turns({"8 GiB": large, "small": small}, bench.rounds(400))
    return Row("F4", "a caller with a heap of 8 GiB beside a small one", samples,
               ours="8 GiB", base="small", target=1.05)  # fmt: skip


def threads(bench: Bench) -> Iterator[Row]:
    """F5: containers per second."""
    count = 4 if bench.short else 50

    def work(each: int) -> None:
        for _ in range(each):
            crabcan.run(COMMAND, root=bench.root)

    def in_threads(number: int, each: int) -> None:
        all_of_them = [threading.Thread(target=work, args=(each,)) for _ in range(number)]
        for thread in all_of_them:
            thread.start()
        for thread in all_of_them:
            thread.join()

    def two_threads() -> None:
        in_threads(2, count)

    def at_once() -> None:
        in_threads(64, 1)

    def rated(containers: int, milliseconds: Callable[[], float]) -> float:
        return containers / milliseconds() * 1e3

    with bench.floor() as floor:
        for what, ours, base, number in (
            ("2 threads", two_threads, partial(floor, count, 1, 2), 2 * count),
            ("64 at once", at_once, partial(floor, 1, 1, 64), 64),
        ):
            kinds: dict[str, Callable[[], float]] = {
                "crabcan": partial(rated, number, partial(timed, ours)),
                "floor": partial(rated, number, base),
            }
            yield Row("F5", f"containers per second, {what}, beside the floor",
                      take_turns(kinds, bench.rounds(20)), ours="crabcan", base="floor",
                      target=0.8, least=True, unit="/s")  # fmt: skip


def command_line(bench: Bench) -> Row:
    """F6."""
    program = str(Path(sys.executable).with_name("crabcan"))
    ours = [program, "run", "--root", str(bench.root), "--", *COMMAND]
    kinds: dict[str, Callable[[], float]] = {
        "crabcan run": lambda: timed(lambda: subprocess.run(ours, check=True)),
        "python3 -I -c pass": lambda: timed(
            lambda: subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
        ),
    }
    return Row("F6", "the command line beside an interpreter that does nothing",
               take_turns(kinds, bench.rounds(150)), ours="crabcan run",
               base="python3 -I -c pass", target=1.35)  # fmt: skip


def imports(bench: Bench) -> Row:
    """F7: measured inside a fresh interpreter each."""

    def importing(name: str) -> Callable[[], float]:
        timing = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
        code = timing.format(name)
        command = [sys.executable, "-I", "-c", code]
        return lambda: float(subprocess.run(command, capture_output=True).stdout) * 1e3

    kinds = {"import crabcan": importing("crabcan"), "import subprocess": importing("subprocess")}
    return Row("F7", "the import", take_turns(kinds, bench.rounds(150)), ours="import crabcan",
               base="import subprocess", target=1.5)  # fmt: skip


def output(bench: Bench) -> Row:
    """F8."""
    size = 1 << 24 if bench.short else 1 << 30
    head = ["head", "-c", str(size), "/dev/zero"]

    def ours() -> None:
        done = crabcan.run(["/bin/head", *head[1:]], root=bench.root, capture_output=True)
        assert len(done.stdout) == size

    def theirs() -> None:
        done = subprocess.run([str(bench.root / "bin" / "head"), *head[1:]], capture_output=True)
        assert len(done.stdout) == size

    kinds: dict[str, Callable[[], float]] = {
        "crabcan.run": lambda: timed(ours), "subprocess.run": lambda: timed(theirs),
    }  # fmt: skip
    return Row("F8", "1 GiB through captured stdout", take_turns(kinds, bench.rounds(11)),
               ours="crabcan.run", base="subprocess.run", target=1.0)  # fmt: skip


def idle_memory(bench: Bench) -> Row | None:
    """F9: kibibytes of init, whose pages a payload does not share; for root only to read."""
    if os.geteuid() != 0:
        return None
    sizes = []
    for _ in range(bench.rounds(20)):
        with crabcan.Container(["/bin/sleep", "60"], root=bench.root) as container:
            container.create()
            rollup = Path(f"/proc/{container.child_pid}/smaps_rollup").read_text()
            sizes.append(float(rollup.partition("Pss:")[2].split()[0]))
    return Row("F9", "memory of an idle container beside its payload (PSS)", {"init": sizes},
               ours="init", base="init", target=300, unit="KiB",
               ratio=statistics.median(sizes))  # fmt: skip


def growth(bench: Bench) -> Iterator[Row]:
    """F10: whether it grows slower with what has been."""
    count, part = (40, 10) if bench.short else (10_000, 1_000)
    times = [bench.run() for _ in range(count)]
    yield Row("F10", "10,000 one after the other: the last 1,000 beside the first",
              {"last": times[-part:], "first": times[:part]}, ours="last", base="first",
              target=1.1)  # fmt: skip
    count, part = (20, 5) if bench.short else (1_000, 100)
    with ExitStack() as stack:
        times = []
        for _ in range(count):
            container = stack.enter_context(
                crabcan.Container(["/bin/sleep", "600"], root=bench.root, channel=False)
            )
            times.append(timed(container.create))
    yield Row("F10", "1,000 alive at once: the last 100 launches beside the first",
              {"last": times[-part:], "first": times[:part]}, ours="last", base="first",
              target=1.1)  # fmt: skip


def booleans(bench: Bench) -> Row:
    """F11: microseconds of a round trip, all on one processor.

    On two the same program takes from 6 to 45, by where the kernel happens to wake whom.
    """
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        return booleans_here(bench)
    finally:
        os.sched_setaffinity(0, everywhere)


def booleans_here(bench: Bench) -> Row:
    """On the processors that this process has."""
    count = 100 if bench.short else 5_000
    script = "exec /bin/echo-booleans $CRABCAN_CHANNEL_FD"
    plain = str(bench.root / "bin" / "echo-booleans")
    with (
        crabcan.Container(["/bin/sh", "-c", script], root=bench.root) as container,
        subprocess.Popen(
            [plain], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as server,
    ):
        container.create()
        assert server.stdin
        assert server.stdout
        stdin, stdout = server.stdin, server.stdout

        def ours() -> float:
            start = time.perf_counter()
            for _ in range(count):
                container.send_bool(True)
                container.recv_bool()
            return (time.perf_counter() - start) / count * 1e6

        def theirs() -> float:
            stdin.write(f"{count}\n")
            return int(stdout.readline()) / count / 1e3

        samples = take_turns({"crabcan": ours, "plain C": theirs}, bench.rounds(40))
        stdin.close()
    return Row("F11", "a boolean to the container and back, beside plain C", samples,
               ours="crabcan", base="plain C", target=1.5, unit="us")  # fmt: skip


def rows(bench: Bench) -> Iterator[Row]:
    """All, in order."""
    yield launch(bench)
    beside = peers(bench)
    yield beside
    if other := runc(bench, beside):
        yield other
    yield pool(bench)
    yield heap(bench)
    yield from threads(bench)
    yield command_line(bench)
    yield imports(bench)
    yield output(bench)
    if memory := idle_memory(bench):
        yield memory
    yield from growth(bench)
    yield booleans(bench)


COUNT = 14


def machine() -> dict[str, str]:
    """What it was measured on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {
        "processors": f"{os.cpu_count()} x {model or platform.machine()}",
        "memory": f"{memory:.0f} GiB",
        "kernel": f"Linux {os.uname().release.partition('-')[0]}",
        "Python": platform.python_version(),
        "as": "root" if os.geteuid() == 0 else "an ordinary user",
    }
    for tool in ("bwrap", "crun", "runc", "nsjail"):
        if shutil.which(tool):
            said = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
            found[tool] = said.splitlines()[0].split()[-1] if said else "?"
    return found


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(found: list[Row], where: dict[str, str]) -> str:
    """In Markdown."""
    lines = [
        ", ".join(f"{name} {value}" for name, value in where.items()) + ".",
        "",
        "| figure | ours: median (quartiles) | beside: median (quartiles) | ratio | target |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in found:
        cells = []
        for name in (row.ours, row.base):
            low, median, high = quartiles(row.samples[name])
            cells.append(f"{name}: {number(median)} {row.unit} ({number(low)} to {number(high)})")
        if row.ours == row.base:
            cells[1] = ""
        wanted = f"at {'least' if row.least else 'most'} {row.target:g}"
        shown = number(row.ratio) + (f" {row.unit}" if row.ours == row.base else "")
        lines.append(
            f"| {row.name} {row.what} | {cells[0]} | {cells[1]} | {shown} | {wanted}: "
            f"{'met' if row.met else '**not met**'} |"
        )
    beside = next((row for row in found if row.name == "F2"), None)
    if beside is not None:
        lines += ["", "| one container by | lower quartile | median | upper quartile |",
                  "| --- | --- | --- | --- |"]  # fmt: skip
        for name, values in sorted(beside.samples.items(), key=lambda one: quartiles(one[1])[1]):
            low, median, high = quartiles(values)
            lines.append(f"| {name} | {low:.2f} ms | {median:.2f} ms | {high:.2f} ms |")
    return "\n".join(lines) + "\n"


def svg(found: list[Row]) -> str:
    """A bar for each: how far its ratio is on the way to its target, which is the line."""
    width, line, left, full = 760, 26, 300, 300
    rows = []
    for place, row in enumerate(found):
        part = row.target / row.ratio if row.least else row.ratio / row.target
        y = 40 + place * line
        colour = "#2da44e" if row.met else "#bf8700"
        label = f"{row.name} {row.ours} / {row.base}" if row.ours != row.base else f"{row.name} KiB"
        length = min(part, 1.45) * full
        rows.append(
            f'<text x="{left - 10}" y="{y + 13}" text-anchor="end">{label}</text>'
            f'<rect x="{left}" y="{y}" width="{length:.0f}" height="17" fill="{colour}"/>'
            f'<text x="{left + length + 6:.0f}" y="{y + 13}">{number(row.ratio)}</text>'
        )
    height = 50 + len(found) * line
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{left + full}" y="22" text-anchor="middle">target</text>\n'
        + "\n".join(rows)
        + f'\n<path d="M{left + full} 30V{height - 10}" stroke="black" stroke-dasharray="4"/>\n'
        "</svg>\n"
    )


def main() -> None:
    """Measure, show how far it is, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--short", action="store_true", help="only show that it works")
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Progress() as progress:
        os.chmod(folder, 0o755)
        bar = progress.add_task("measuring", total=COUNT)
        bench = Bench(Path(folder), given.short)
        for row in rows(bench):
            found.append(row)
            progress.update(bar, advance=1, description=f"{row.name} {row.ratio:.2f}")
    where = machine() | bench.left_out
    figures = {"machine": where, "figures": [row.as_json() for row in found]}
    (given.directory / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    (given.directory / "figures.md").write_text(table(found, where))
    (given.directory / "figures.svg").write_text(svg(found))


if __name__ == "__main__":
    main()
