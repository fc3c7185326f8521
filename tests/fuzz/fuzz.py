"""Fuzzes everything of crabcan's that reads bytes, and tells how often, and what was found.

`python tests/fuzz/fuzz.py [--seconds N] [TARGET...]`: the targets in C by clang's libFuzzer, those
in Python by atheris, all at once. New inputs are kept in build/fuzz, findings beside them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TOP = HERE.parents[1]
SOURCES = {
    "plan": ("init/prepare.c",),
    "report": ("host/channel.c", "host/trees.c", "host/sealed.c", "host/describe.c", "host/plan.c"),
    "request": ("init/plan.c", "init/prepare.c"),
}
IN_PYTHON = ("profile", "spec", "seccomp", "answer", "word", "command_line", "host_files")
TARGETS = (*SOURCES, *IN_PYTHON)
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror",
         "-fno-sanitize-recover=all")  # fmt: skip


def build(target: str, program: Path, compiler: str = "clang") -> None:
    """One of those in C; gcc has no fuzzer, and gets main.c."""
    sources = [HERE / f"{target}.c", *(TOP / "csrc" / source for source in SOURCES[target])]
    sanitizers = "-fsanitize=address,undefined"
    if compiler == "clang":
        sanitizers += ",fuzzer"
    else:
        sources.append(HERE / "main.c")
    subprocess.run([compiler, *FLAGS, sanitizers, "-o", program, *sources], check=True)


def start(target: str, folder: Path, seconds: int) -> subprocess.Popen[bytes]:
    inputs = folder / target
    inputs.mkdir(parents=True, exist_ok=True)
    if target in SOURCES:
        command = [str(folder / f"{target}.bin")]
        build(target, Path(command[0]))
    else:
        command = [sys.executable, "-P", str(HERE / "texts.py"), target]
    command += [f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=20",
                f"-artifact_prefix={folder}/{target}-", str(inputs),
                str(HERE / "corpus" / target)]  # fmt: skip
    with open(folder / f"{target}.log", "wb") as log:
        environment = {**os.environ, "TMPDIR": str(folder / "tmp")}  # atheris leaves without a word
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def result(target: str, folder: Path) -> tuple[int, list[str]]:
    """Executions, and the files of inputs that were too much."""
    text = (folder / f"{target}.log").read_text(errors="replace")
    found = re.search(r"stat::number_of_executed_units: (\d+)", text)
    kinds = ("crash", "leak", "oom", "timeout")
    findings = [str(path) for kind in kinds for path in folder.glob(f"{target}-{kind}-*")]
    return int(found[1]) if found else 0, findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=3600)
    parsed = parser.parse_args()
    wanted = parsed.targets or TARGETS
    unknown = set(wanted) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}: give some of {', '.join(TARGETS)}")
    folder = TOP / "build" / "fuzz"
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    running = {target: start(target, folder, parsed.seconds) for target in wanted}
    failed = 0
    for target, process in running.items():
        code = process.wait()
        executions, findings = result(target, folder)
        failed += bool(code or findings or not executions)
        print(f"{target}: {executions} executions, {len(findings)} findings", *findings)
    shutil.rmtree(folder / "tmp")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
