"""Shorter filters answer what the longer ones did: both are run here, over every number."""

from __future__ import annotations

import random
import struct

import pytest

from crabcan import _policy, bpf, seccomp

X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
EPERM = _policy.ERRNO | 1
ENOSYS = _policy.ERRNO | 38


def answer(program: bytes, number: int, arch: int, arguments: list[int]) -> int:
    """What the kernel would make of one program (filter.rst)."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *arguments)
    code = list(struct.iter_unpack("=HBBI", program))
    at = held = 0
    while True:
        operation, jump_true, jump_false, k = code[at]
        at += 1
        if operation == 0x06:
            return int(k)
        if operation == 0x20:
            held = struct.unpack_from("=I", data, k)[0]
        elif operation == 0x54:
            held &= k
        elif operation == 0x05:
            at += k
        else:
            holds = {
                0x15: held == k, 0x25: held > k, 0x35: held >= k, 0x45: held & k != 0,
            }[operation]  # fmt: skip
            at += jump_true if holds else jump_false


def of_all(programs: list[bytes], number: int, arch: int, arguments: list[int]) -> int:
    """What it makes of several: the lowest action, of equals that of the last one."""
    answers = [answer(program, number, arch, arguments) for program in reversed(programs)]
    return min(answers, key=lambda value: int.from_bytes(
        (value & 0xFFFF0000).to_bytes(4, "little"), "little", signed=True))  # fmt: skip


def compare(programs: list[bytes], rounds: int = 3) -> bytes:
    """Hold the short program against the long ones; returns it."""
    short = bpf.compact(*programs)
    instructions = [one for program in programs for one in struct.iter_unpack("=HBBI", program)]
    # The constants that they compare with, and what is next to them.
    edges = {0, 1, 2**32 - 1} | {one[3] for one in instructions if one[0] != 0x06}
    choice = random.Random(42)
    values = sorted(edges | {(edge + 1) % 2**32 for edge in edges})
    numbers = [*range(520), *range(0x40000000, 0x40000000 + 520, 5), 2**32 - 1, *values]
    for arch in (X86_64, I386, AARCH64, ARM, 0, 5):
        for number in numbers:
            for _ in range(rounds):
                arguments = [
                    choice.choice(values) | choice.choice((0, 0, choice.choice(values))) << 32
                    for _ in range(6)
                ]
                expected = of_all(programs, number, arch, arguments)
                assert answer(short, number, arch, arguments) == expected, (number, arch, arguments)
    return short


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"allow": ["mount", "socket"]},
        {"deny": ["shmget", "getpid", "mkdir"]},
        {"capabilities": ["sys_admin", "sys_ptrace"]},
    ],
    ids=str,
)
def test_the_default_filter(options: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    run = seccomp._run_libseccomp

    def kept(*arguments: object) -> bytes:
        seen.append(run(*arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(seccomp, "_run_libseccomp", kept)
    short = seccomp.compile_default(**options)
    assert len(seen) == 2
    assert compare(seen) == short
    assert len(short) < sum(map(len, seen)) / 2


def compiled(default: int, rules: list[seccomp.Rule]) -> bytes:
    return seccomp._run_libseccomp(default, seccomp._architectures(), tuple(rules))


def test_comparisons_of_all_kinds() -> None:
    operators = (_policy.NE, _policy.LT, _policy.LE, _policy.EQ, _policy.GE, _policy.GT)
    names = ("read", "write", "lseek", "mmap", "brk", "ioctl")
    rules: list[seccomp.Rule] = [
        (name, EPERM, ((index % 6, operator, 2**33 + 5, 0),))
        for index, (name, operator) in enumerate(zip(names, operators, strict=True))
    ]
    rules.append(("fcntl", EPERM, ((1, _policy.MASKED_EQ, 0xF0000000F0, 0x2000000030),)))
    rules.append(("dup2", EPERM, ((0, _policy.EQ, 3, 0), (1, _policy.GT, 2**40, 0))))
    compare([compiled(_policy.ALLOW, rules)], rounds=8)


def test_jumps_that_are_long() -> None:
    """More answers than one jump reaches over."""
    rules: list[seccomp.Rule] = [
        (name, _policy.ERRNO | (number % 90 + 1), ((0, _policy.EQ, number, 0),))
        for number, name in enumerate(
            name for name in seccomp.default_names()[0] if _policy.knows_syscall(name)
        )
    ]
    short = compare([compiled(_policy.ALLOW, rules)], rounds=1)
    assert len(short) // 8 > 1000


def test_of_two_filters_the_stricter_one_holds() -> None:
    refused = compiled(_policy.ALLOW, [("read", EPERM, ()), ("write", _policy.KILL_PROCESS, ()),
                                       ("lseek", _policy.LOG, ())])  # fmt: skip
    listed = compiled(ENOSYS, [("read", _policy.ALLOW, ()), ("write", _policy.ALLOW, ()),
                               ("lseek", _policy.ALLOW, ()), ("close", EPERM, ())])  # fmt: skip
    compare([refused, listed])
    compare([listed, refused])
    assert bpf.compact(b"", b"") == b""


def test_an_instruction_that_is_not_known() -> None:
    multiply = struct.pack("=HBBI", 0x24, 0, 0, 3)
    with pytest.raises(ValueError, match="instruction 0 has code 0x24"):
        bpf.compact(multiply + struct.pack("=HBBI", 0x06, 0, 0, _policy.ALLOW))
