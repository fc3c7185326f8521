"""Shorter filters (seccomp(2), Linux socket filtering in filter.rst).

What installing a filter costs grows with its length: the kernel converts, checks and compiles it,
and runs it for every system call number to know which ones it always allows. libseccomp writes two
comparisons for each call that it is told of. Here programs are followed once for all calls of an
architecture at a time, and what they answer is written anew as a search over ranges of numbers,
several programs as one: 1,161 instructions of the default filters become 341.

Nothing is decided here: a test runs the old and the new ones over every number.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # importing collections takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_INSTRUCTION = struct.Struct("=HBBI")
Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k

# linux/bpf_common.h: what libseccomp makes use of.
LOAD, RETURN, JUMP, AND = 0x20, 0x06, 0x05, 0x54
EQUAL, GREATER, GREATER_EQUAL, ANY_BIT = 0x15, 0x25, 0x35, 0x45
# struct seccomp_data, seccomp(2).
NR, ARCH = 0, 4

ALLOW = 0x7FFF0000
_ACTION = 0xFFFF0000
_LAST = 2**32 - 1

# What a program answers for some numbers: a value to return, or a comparison of an argument's half
# (offset, mask, code, k) and the answers where it holds and where not.
Answer = int | tuple[int, int, int, int, "Answer", "Answer"]
Ranges = list[tuple[int, int, Answer]]  # first, last; without a gap


def compact(*programs: bytes) -> bytes:
    """One program that answers what the kernel makes of all of them; the last was installed last.

    Raises:
        ValueError: a program has an instruction that libseccomp does not write.

    """
    parsed = [_parse(program) for program in programs if program]
    if not parsed:
        return b""
    known = sorted(set().union(*map(_architectures, parsed)))
    other = next(number for number in range(len(known) + 1) if number not in known)
    out = _Assembler()
    place = _section(out, _answers_of_all(parsed, other))
    for arch in known:  # AUDIT_ARCH_*: the one of 64 bits is the highest, and compared first
        section = _section(out, _answers_of_all(parsed, arch))
        place = out.branch(EQUAL, arch, section, place)
    out.add(LOAD, ARCH)
    return out.program()


def _section(out: _Assembler, ranges: Ranges) -> int:
    if len(ranges) == 1 and isinstance(ranges[0][2], int):
        return out.answer(ranges[0][2])
    out.search(ranges)
    return out.add(LOAD, NR)


def _parse(program: bytes) -> list[Instruction]:
    return list(_INSTRUCTION.iter_unpack(program))


def _architectures(program: Sequence[Instruction]) -> set[int]:
    """What it compares the architecture with."""
    found = set()
    seen = set()
    left = [(0, -1)]  # an instruction, and the offset that has been loaded before it
    while left:
        state = at, loaded = left.pop()
        code, jump_true, jump_false, k = program[at]
        if state in seen or code == RETURN:
            continue
        seen.add(state)
        if code == LOAD:
            loaded = k
        if code == EQUAL and loaded == ARCH:
            found.add(k)
        if code == JUMP:
            left.append((at + 1 + k, loaded))
        elif code in (LOAD, AND):
            left.append((at + 1, loaded))
        else:
            left += [(at + 1 + jump_true, loaded), (at + 1 + jump_false, loaded)]
    return found


def _answers_of_all(programs: Sequence[Sequence[Instruction]], arch: int) -> Ranges:
    ranges: Ranges = [(0, _LAST, ALLOW)]
    for program in programs:
        ranges = _both(ranges, _answers(program, arch, 0, (0, _LAST), None, ()))
    return _merged(ranges)


# What the accumulator holds: the offset that was loaded, and a mask.
_Loaded = tuple[int, int] | None
# What the comparisons of arguments on the way have told.
_Facts = tuple[tuple[tuple[int, int, int, int], bool], ...]


def _answers(
    program: Sequence[Instruction],
    arch: int,
    at: int,
    numbers: tuple[int, int],
    loaded: _Loaded,
    facts: _Facts,
) -> Ranges:
    """Follow the program from one instruction on, for a range of numbers."""
    while True:
        code, jump_true, jump_false, k = program[at]
        at += 1
        if code == RETURN:
            return [(*numbers, k)]
        if code == LOAD:
            loaded = k, _LAST
        elif code == AND and loaded is not None:
            loaded = loaded[0], loaded[1] & k
        elif code == JUMP:
            at += k
        elif code in (EQUAL, GREATER, GREATER_EQUAL, ANY_BIT) and loaded is not None:
            offset, mask = loaded
            if offset == ARCH:
                at += jump_true if _holds(code, arch & mask, k) else jump_false
            elif offset == NR:
                return _by_number(program, arch, at, numbers, loaded, facts)
            else:
                test = offset, mask, code, k
                known = _known(test, facts)
                if known is None:
                    told = (*facts, (test, True)), (*facts, (test, False))
                    holds = _answers(program, arch, at + jump_true, numbers, loaded, told[0])
                    fails = _answers(program, arch, at + jump_false, numbers, loaded, told[1])
                    return _if(test, holds, fails)
                at += jump_true if known else jump_false
        else:
            raise ValueError(f"instruction {at - 1} has code {code:#x}")


def _holds(code: int, value: int, k: int) -> bool:
    return {
        EQUAL: value == k,
        GREATER: value > k,
        GREATER_EQUAL: value >= k,
        ANY_BIT: value & k != 0,
    }[code]


def _known(test: tuple[int, int, int, int], facts: _Facts) -> bool | None:
    """Whether it holds, if an earlier comparison tells."""
    offset, mask, code, k = test
    for (other, other_mask, other_code, other_k), held in facts:
        if (other, other_mask) != (offset, mask):
            continue
        if held and other_code == EQUAL:
            return _holds(code, other_k, k)
        if (other_code, other_k) == (code, k):
            return held
    return None


def _by_number(
    program: Sequence[Instruction],
    arch: int,
    at: int,
    numbers: tuple[int, int],
    loaded: tuple[int, int],
    facts: _Facts,
) -> Ranges:
    """The comparison before `at` parts the numbers."""
    code, jump_true, jump_false, k = program[at - 1]
    if loaded[1] != _LAST or code == ANY_BIT:
        raise ValueError(f"instruction {at - 1} compares bits of the number")
    first, last = numbers
    if code == EQUAL:
        parts = [(first, k - 1, False), (k, k, True), (k + 1, last, False)]
    else:
        start = k if code == GREATER_EQUAL else k + 1
        parts = [(first, start - 1, False), (start, last, True)]
    found: Ranges = []
    for low, high, holds in parts:
        part = max(low, first), min(high, last)
        if part[0] <= part[1]:
            jump = jump_true if holds else jump_false
            found += _answers(program, arch, at + jump, part, loaded, facts)
    return found


def _if(test: tuple[int, int, int, int], holds: Ranges, fails: Ranges) -> Ranges:
    return [(first, last, _test(*test, yes, no)) for first, last, yes, no in _common(holds, fails)]


def _common(a: Ranges, b: Ranges) -> Iterator[tuple[int, int, Answer, Answer]]:
    """Both cut at each other's ends."""
    i = j = 0
    while i < len(a) and j < len(b):
        last = min(a[i][1], b[j][1])
        yield max(a[i][0], b[j][0]), last, a[i][2], b[j][2]
        i, j = i + (a[i][1] == last), j + (b[j][1] == last)


def _both(earlier: Ranges, later: Ranges) -> Ranges:
    return [(first, last, _stricter(a, b)) for first, last, a, b in _common(earlier, later)]


def _stricter(earlier: Answer, later: Answer) -> Answer:
    """What the kernel does with two filters' answers: the lower action, of equals the last one's.

    Actions are compared as signed numbers (seccomp(2), SECCOMP_RET_*).
    """
    if isinstance(earlier, tuple):
        offset, mask, code, k, yes, no = earlier
        return _test(offset, mask, code, k, _stricter(yes, later), _stricter(no, later))
    if isinstance(later, tuple):
        offset, mask, code, k, yes, no = later
        return _test(offset, mask, code, k, _stricter(earlier, yes), _stricter(earlier, no))
    return later if _severity(later) <= _severity(earlier) else earlier


def _test(offset: int, mask: int, code: int, k: int, yes: Answer, no: Answer) -> Answer:
    """The comparison, or something shorter that tells the same."""
    if mask == 0:
        return yes if _holds(code, 0, k) else no
    if code == EQUAL and mask == k and k & (k - 1) == 0:  # one bit
        mask, code = _LAST, ANY_BIT
    if (
        code == ANY_BIT
        and isinstance(no, tuple)
        and no[:3] == (offset, mask, code)
        and no[4] == yes
    ):
        k, no = k | no[3], no[5]
    return yes if yes == no else (offset, mask, code, k, yes, no)


def _severity(value: int) -> int:
    action = value & _ACTION
    return action - 2**32 if action >= 2**31 else action


def _merged(ranges: Ranges) -> Ranges:
    merged: Ranges = []
    for first, last, answer in ranges:
        if merged and merged[-1][2] == answer:
            first = merged.pop()[0]
        merged.append((first, last, answer))
    return merged


class _Assembler:
    """Writes a program from its end, since jumps go forward: what was written can be shared."""

    def __init__(self) -> None:
        self._reversed: list[Instruction] = []
        self._places: dict[object, int] = {}  # what begins there, counted from the end

    def program(self) -> bytes:
        """What has been written."""
        return b"".join(_INSTRUCTION.pack(*one) for one in reversed(self._reversed))

    def add(self, code: int, k: int) -> int:
        """An instruction that goes on to the last one that was written; returns its place."""
        self._reversed.append((code, 0, 0, k))
        return len(self._reversed) - 1

    def branch(self, code: int, k: int, yes: int, no: int) -> int:
        """A comparison that goes to one of two places."""
        yes = self._near(yes, 2)  # one more where `no` has to be brought near
        no = self._near(no, 1)
        here = len(self._reversed)
        self._reversed.append((code, here - yes - 1, here - no - 1, k))
        return here

    def _near(self, place: int, room: int) -> int:
        """The place, or another that goes there: a comparison jumps over 255 at most."""
        here = len(self._reversed)
        if here + room - place <= _FAR:
            return place
        code, _, _, k = self._reversed[place]
        return self.add(RETURN, k) if code == RETURN else self.add(JUMP, here - place - 1)

    def search(self, ranges: Ranges) -> int:
        """The answer for a number that is loaded."""
        usual = _usual(ranges)
        if usual is not None:
            return self._exceptions(ranges, usual)
        middle = len(ranges) // 2
        upper, lower = self.search(ranges[middle:]), self.search(ranges[:middle])
        return self.branch(GREATER_EQUAL, ranges[middle][0], upper, lower)

    def _exceptions(self, ranges: Ranges, usual: Answer) -> int:
        place = self.answer(usual)
        for first, _, answer in ranges:
            if answer != usual:
                exception = self.answer(answer)
                place = self.branch(EQUAL, first, exception, place)
        return place

    def answer(self, answer: Answer, loaded: tuple[int, int] | None = None) -> int:
        """Written once, as far as jumps reach; `loaded` is what the accumulator holds there."""
        key = answer, loaded
        place = self._places.get(key)
        if place is None or len(self._reversed) - place > _FAR // 2:
            place = self._places[key] = self._write(answer, loaded)
        return place

    def _write(self, answer: Answer, loaded: tuple[int, int] | None) -> int:
        if isinstance(answer, int):
            return self.add(RETURN, answer)
        offset, mask, code, k, yes, no = answer
        place = self.branch(
            code, k, self.answer(yes, (offset, mask)), self.answer(no, (offset, mask))
        )
        if loaded == (offset, mask):
            return place
        if mask != _LAST:
            self.add(AND, mask)
        return self.add(LOAD, offset)


_FAR = 255
_FEW = 4


def _usual(ranges: Ranges) -> Answer | None:
    """What a few ranges answer but for single numbers; None where that is not so."""
    others = [answer for first, last, answer in ranges if first != last]
    usual = others[0] if others else ranges[0][2]
    few = len(ranges) <= 2 * _FEW + 1
    return usual if few and all(answer == usual for answer in others) else None
