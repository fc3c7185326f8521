"""What README and docs show is run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import crabcan
import crabcan.aio
from crabcan import spec

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["crabcan", "crabcan.aio"])
def test_examples_of_modules(name: str) -> None:
    module = importlib.import_module(name)
    examples = doctest.DocTestFinder(recurse=False).find(module)
    assert doctest.DocTestRunner().run(examples[0]).attempted > 0
    assert doctest.DocTestRunner().run(examples[0]).failed == 0


PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (crabcan, crabcan.aio)
    for name in module.__all__
    if not isinstance(getattr(module, name), int)
} | {"crabcan.list": crabcan.list}


@pytest.mark.parametrize("name", PUBLIC)
def test_examples_of_public_objects(name: str) -> None:
    """Each has one of its own, and it runs."""
    thing = PUBLIC[name]
    found = doctest.DocTestFinder().find(thing)
    own = next(examples for examples in found if examples.name == thing.__name__)
    assert own.examples
    for examples in found:
        assert doctest.DocTestRunner().run(examples).failed == 0


MADE_BY_CRABCAN = (
    crabcan.CompletedProcess,
    crabcan.Exec,
    crabcan.Future,
    crabcan.Inside,
    crabcan.Named,
    crabcan.Step,
    crabcan.Terminal,
    crabcan.Usage,
)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_objects_are_documented(name: str) -> None:
    """With every parameter that a caller gives, and each of what can be asked of it."""
    thing = PUBLIC[name]
    for attribute, value in vars(thing).items() if isinstance(thing, type) else ():
        if not attribute.startswith("_") and (callable(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{attribute}"
    if isinstance(thing, type) and issubclass(thing, (*MADE_BY_CRABCAN, BaseException)):
        return
    parameters = inspect.signature(thing).parameters
    missing = [p for p in parameters if not re.search(rf"^ *(\*\*)?{p}:", thing.__doc__, re.M)]
    assert not missing or "arguments" in thing.__doc__, missing


README = (TOP / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
OUTPUTS = (
    "hello\n42\n\nTrue\n",
    "-9 9 False True\n",
    "b'42\\n'\n",
    "[2, 4, 6]\n",
    "['6\\n', '42\\n']\n",
)


@pytest.mark.parametrize(("example", "output"), list(zip(EXAMPLES[:-1], OUTPUTS, strict=True)))
def test_readme_python_examples(example: str, output: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (output, "")
    made = [path.name for path in (tmp_path / "out").iterdir()]
    assert made == (["made"] if "/out" in example else [])


def test_readme_tests_pass(pytester: pytest.Pytester) -> None:
    example = EXAMPLES[-1]
    pytester.makepyfile(example)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_readme_installs(tmp_path: Path) -> None:
    """Its line as it stands, in a copy of the sources and a new virtual environment."""
    (line,) = re.findall(r"^    (pip .*)$", README, re.MULTILINE)
    source = tmp_path / "source"
    source.mkdir()
    for name in ("crabcan", "csrc", "LICENSE", "pyproject.toml", "README.md", "setup.py"):
        copy = shutil.copytree if (TOP / name).is_dir() else shutil.copy
        copy(TOP / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    path = f"{tmp_path / 'venv' / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    subprocess.run(shlex.split(line), cwd=source, env=environment, check=True)
    script = "import crabcan; crabcan.run(['true'], check=True)"
    subprocess.run([tmp_path / "venv/bin/python", "-c", script], cwd=tmp_path, check=True)


def test_every_option_is_in_the_table_of_security() -> None:
    table = (TOP / "docs" / "security.md").read_text().partition("| option |")[2]
    rows = table.partition("\n\n")[0].splitlines()[2:]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(spec.names())


def test_security_names_tests_that_are_there() -> None:
    page = (TOP / "docs" / "security.md").read_text() + (TOP / "SECURITY.md").read_text()
    for name in set(re.findall(r"\btest_\w+", page)):
        assert list((TOP / "tests").glob(f"*/{name}.py")), name


def test_readme_command_lines(busybox_root: Path) -> None:
    lines = re.findall(r"^    crabcan (.*)$", README, re.MULTILINE)
    assert len(lines) == 8
    for line in lines:
        command = [sys.executable, "-m", "crabcan", *shlex.split(line)]
        done = subprocess.run(
            command,
            cwd=busybox_root.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def shape(page: str) -> str:
    """The page without what differs from run to run, and from host to host."""
    page = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", page)
    page = re.sub(r"[a-z]+-[a-z]+-\d+\b", "HOSTNAME", page)
    page = re.sub(r"/\S+/mountdir\b", "/mountdir", page)
    page = re.sub(r"(Linux release: )\S+", r"\1RELEASE", page)
    page = re.sub(r"\(pid \d+\)|(PID: )\d+", r"\1N", page)
    page = re.sub(r"as root|as an ordinary user", "WHO", page)
    # Root has ids of its own; processes are counted by groups or by RLIMIT_NPROC.
    page = re.sub(
        r"\n.*(becoming id 0|keeping init's cap|limit nproc|entering a control group).*", "", page
    )
    return re.sub(r"sockets: \(\d+, \d+\)", "sockets: (A, B)", page)


def test_transcript_is_that_of_a_run() -> None:
    done = subprocess.run(
        [sys.executable, TOP / "docs" / "transcript.py"], capture_output=True, text=True, check=True
    )
    kept = (TOP / "docs" / "transcript.md").read_text()
    assert sorted(shape(done.stdout).splitlines()) == sorted(shape(kept).splitlines())


PAGES = sorted([TOP / "docs" / "index.md", *(TOP / "docs" / "how-to").glob("*.md")])
# With its own test, beside the cluster that it needs.
RUN_ELSEWHERE = {"dask.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_show_what_happens(page: Path, tmp_path: Path) -> None:
    """Each example in Python, and what stands below it as its output."""
    if page.name in RUN_ELSEWHERE:
        return
    text = page.read_text()
    examples = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, re.DOTALL)
    for example, output in examples:
        (tmp_path / "example.py").write_text(example)
        done = subprocess.run(
            [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.stdout, done.stderr) == (output, ""), page.name
    assert text.count("```python") == len(examples)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_command_lines_of_pages(page: Path, tmp_path: Path) -> None:
    for line in re.findall(r"^    ((?:crabcan|mkdir) .*)$", page.read_text(), re.MULTILINE):
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            shlex.split(line), cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, (line, done.stderr)


def test_tutorial(tmp_path: Path) -> None:
    """Its program is made of its pieces, compiles without a warning, and does what is shown."""
    text = (TOP / "docs" / "tutorial.md").read_text()
    pieces = re.findall(r"```c\n(.*?)```", text, re.DOTALL)
    (tmp_path / "container.c").write_text("\n".join(pieces))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    lines = re.findall(r"^    ((?:gcc|crabcan|\./container) .*)$", text, re.MULTILINE)
    outputs = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    seen = []
    for line in lines:
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, (line, done.stderr)
        assert "warning" not in done.stderr
        seen += [done.stdout] if done.stdout else []
    assert seen == outputs


def test_every_public_name_is_in_the_reference() -> None:
    text = (TOP / "docs" / "api.md").read_text()
    named = set(re.findall(r"^\.\. auto(?:class|function|exception):: (\w+)", text, re.MULTILINE))
    constants = {"PIPE", "STDOUT", "DEVNULL"}
    assert named == {*crabcan.__all__, "list"} - constants
