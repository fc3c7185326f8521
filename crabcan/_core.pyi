from typing import Final, final

USER_NAMESPACE: Final[int]
DENY_SETGROUPS: Final[int]
LOOPBACK: Final[int]
ROOT_WRITABLE: Final[int]
CHANNEL: Final[int]
TRACE: Final[int]
SET_GROUPS: Final[int]
BIND: Final[int]
FILESYSTEM: Final[int]
DIRECTORY: Final[int]
SYMLINK: Final[int]
READONLY: Final[int]
NOSUID: Final[int]
NODEV: Final[int]
NOEXEC: Final[int]
CHANNEL_FD: Final[int]
REPORT_STEP: Final[int]
REPORT_FAILED: Final[int]
REPORT_STARTED: Final[int]
REPORT_ENDED: Final[int]
CLONE_NEWNS: Final[int]
CLONE_NEWCGROUP: Final[int]
CLONE_NEWPID: Final[int]
CLONE_NEWIPC: Final[int]
CLONE_NEWNET: Final[int]
CLONE_NEWUTS: Final[int]
CLONE_NEWUSER: Final[int]
STEPS: Final[tuple[tuple[str, str], ...]]

class StepError(Exception):
    args: tuple[int, int, int]

@final
class Plan:
    def __new__(
        cls,
        *,
        flags: int,
        clone_flags: int,
        uid: int,
        gid: int,
        hostname: bytes,
        root: bytes | None,
        cwd: bytes,
        uid_map: bytes | None,
        gid_map: bytes | None,
        executables: tuple[bytes, ...],
        argv: tuple[bytes, ...],
        environ: tuple[bytes, ...],
        mounts: tuple[tuple[int, int, int, bytes | None, bytes, bytes | None], ...],
    ) -> Plan: ...
    def describe(self, step: int, index: int, /) -> str: ...
    def launch(self, stdio: tuple[int, int, int], channel: int, /) -> Process: ...

@final
class Process:
    @property
    def pid(self) -> int: ...
    @property
    def pidfd(self) -> int: ...
    @property
    def sockets(self) -> tuple[int, int]: ...
    def report(
        self, timeout: float | None, /
    ) -> tuple[int, int, int, int, int, int, int] | tuple[()] | None: ...
    def wait(self, timeout: float | None, /) -> tuple[bool, int, int] | None: ...
    def signal(self, signum: int, /) -> None: ...
    def close(self) -> None: ...

def socketpair() -> tuple[int, int]: ...
def send_bool(fd: int, value: bool, /) -> None: ...
def recv_bool(fd: int, timeout: float | None, /) -> bool: ...
