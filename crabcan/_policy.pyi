from typing import Final

ALLOW: Final[int]
LOG: Final[int]
TRAP: Final[int]
KILL_THREAD: Final[int]
KILL_PROCESS: Final[int]
ERRNO: Final[int]
NE: Final[int]
LT: Final[int]
LE: Final[int]
EQ: Final[int]
GE: Final[int]
GT: Final[int]
MASKED_EQ: Final[int]

def compile_seccomp(
    default_action: int,
    architectures: tuple[str, ...],
    rules: tuple[tuple[str, int, tuple[tuple[int, int, int, int], ...]], ...],
    /,
) -> bytes: ...
def knows_syscall(name: str, /) -> bool: ...
def capability_number(name: str, /) -> int: ...
def capability_name(number: int, /) -> str | None: ...
