"""tests/fuzz in its short form: every input of the corpus, and some mutations of each."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import fuzz
import pytest
import texts

FUZZ = Path(fuzz.__file__).parent
SEED = 20261124
ROUNDS = {"plan": 3000, "report": 300, "request": 300, "seccomp": 5, "profile": 30}


def inputs(target: str) -> list[Path]:
    found = sorted((FUZZ / "corpus" / target).iterdir())
    assert found
    return found


def test_every_target_has_a_corpus() -> None:
    assert {path.name for path in (FUZZ / "corpus").iterdir()} == set(fuzz.TARGETS)
    assert set(texts.TARGETS) == set(fuzz.IN_PYTHON)


@pytest.mark.parametrize("target", fuzz.SOURCES)
def test_targets_in_c(target: str, tmp_path: Path) -> None:
    """Under the address and undefined-behaviour sanitizers, by gcc."""
    program = tmp_path / target
    fuzz.build(target, program, "gcc")
    environment = {"SEED": f"{SEED}", "ROUNDS": f"{ROUNDS[target]}"}
    files = inputs(target)
    done = subprocess.run([program, *files], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(files) * (1 + ROUNDS[target])} executions\n"


def mutated(data: bytes, randomness: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(randomness.randint(1, 4)):
        at = randomness.randrange(len(changed) + 1)
        piece = randomness.choice((b"", b"\0", b"\xff", b"9" * 20, b"[" * 50, b'"', b"\n", b"-1"))
        changed[at : at + randomness.randint(0, 3)] = piece
    return bytes(changed)


@pytest.mark.parametrize("target", fuzz.IN_PYTHON)
def test_targets_in_python(target: str) -> None:
    randomness = random.Random(SEED)
    for path in inputs(target):
        data = path.read_bytes()
        texts.TARGETS[target](data)
        for _ in range(ROUNDS.get(target, 200)):
            changed = mutated(data, randomness)
            try:
                texts.TARGETS[target](changed)
            except Exception as error:
                raise AssertionError(f"{target} of {changed!r}") from error
