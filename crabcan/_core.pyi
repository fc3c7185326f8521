from typing import Final, final

USER_NAMESPACE: Final[int]
DENY_SETGROUPS: Final[int]
LOOPBACK: Final[int]
ROOT_WRITABLE: Final[int]
CHANNEL: Final[int]
SET_GROUPS: Final[int]
NEWIDMAP: Final[int]
INIT_ROOT: Final[int]
HOST_TREES: Final[int]
ROOT_IDMAP: Final[int]
NO_MOUNTS: Final[int]
OOM_SCORE: Final[int]
NICE: Final[int]
CGROUP_NAMESPACE: Final[int]
SUBREAPER: Final[int]
TTY: Final[int]
WARM: Final[int]
BIND: Final[int]
FILESYSTEM: Final[int]
DIRECTORY: Final[int]
SYMLINK: Final[int]
OVERLAY: Final[int]
FILE: Final[int]
MASK: Final[int]
PROTECT: Final[int]
READONLY: Final[int]
NOSUID: Final[int]
NODEV: Final[int]
NOEXEC: Final[int]
IDMAP: Final[int]
IDMAP_IF_POSSIBLE: Final[int]
NOT_RECURSIVE: Final[int]
BASE: Final[int]
LANDLOCK_READ: Final[int]
LANDLOCK_WRITE: Final[int]
LANDLOCK_CONNECT: Final[int]
LANDLOCK_BIND: Final[int]
CHANNEL_FD: Final[int]
MAX_PASSED: Final[int]
SIGHUP: Final[int]
SIGINT: Final[int]
SIGKILL: Final[int]
SIGQUIT: Final[int]
SIGTERM: Final[int]
STEP_GROUPS: Final[int]
STEP_COMPILE: Final[int]
STEP_CONNECT: Final[int]
REPORT_FAILED: Final[int]
REPORT_STARTED: Final[int]
REPORT_ENDED: Final[int]
REQUEST_SIGNAL: Final[int]
REQUEST_STOP: Final[int]
REQUEST_CONTINUE: Final[int]
TIME_NOT_LIMITED: Final[int]
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
        hostname: bytes | None,
        root: bytes | None,
        cwd: bytes,
        uid_map: bytes | None,
        gid_map: bytes | None,
        executables: tuple[bytes, ...],
        argv: tuple[bytes, ...],
        environ: tuple[bytes, ...],
        mounts: tuple[
            tuple[int, int, int, bytes | None, bytes, bytes | None, bytes | None, int], ...
        ],
        capabilities: int,
        groups: bytes,
        rlimits: bytes,
        affinity: bytes,
        seccomp: bytes,
        joins: bytes,
        passed: bytes,
        landlock: tuple[tuple[int, bytes | None, int], ...],
        landlock_access: int,
        landlock_ports: int,
        wall_time: int,
        cpu_time: int,
        group_count: int,
        umask: int,
        nice: int,
        oom_score_adj: int,
        rows: int,
        columns: int,
    ) -> Plan: ...
    def describe(self, step: int, index: int, /) -> str: ...
    def close_file(self) -> None: ...
    def step_count(self, step: int, /) -> int: ...
    def launch(
        self,
        stdio: tuple[int, int, int],
        channel: int,
        cgroup: int,
        joins: tuple[int, ...],
        groups: tuple[int, ...],
        passed: bytes,
        /,
    ) -> Process: ...

@final
class Process:
    @property
    def pid(self) -> int: ...
    @property
    def pidfd(self) -> int: ...
    @property
    def sockets(self) -> tuple[int, int]: ...
    @property
    def report_fd(self) -> int: ...
    def end(
        self, timeout: float | None, /
    ) -> tuple[bool, int, int, int, int, int, int, int] | None: ...
    def timeline(self) -> tuple[bytes, bytes]: ...
    def report(
        self, timeout: float | None, /
    ) -> tuple[int, int, int, int, int, int, int, int, int] | tuple[()] | None: ...
    def wait(
        self, timeout: float | None, /
    ) -> tuple[bool, int, int, int, int, int, int, int] | None: ...
    def go_on(self) -> None: ...
    def exec(self, plan: Plan, stdio: tuple[int, int, int], id: int, /) -> None: ...
    def tell(self, request: int, id: int, signum: int, /) -> None: ...
    def terminal(self) -> int: ...
    def signal(self, signum: int, /) -> None: ...
    def close(self) -> None: ...

def forward_signals(pidfd: int, signums: tuple[int, ...], /) -> None: ...
def open_inside(root: bytes, path: bytes, /) -> int: ...
def landlock_version() -> int: ...
def socketpair() -> tuple[int, int]: ...
def send_bool(fd: int, value: bool, /) -> None: ...
def recv_bool(fd: int, timeout: float | None, /) -> bool: ...
