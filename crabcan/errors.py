"""What can go wrong, each kind with a class of its own.

A failure of the sandbox is never the same thing as a failure of the program in it: the latter is
a return code. Every message says what was being done, to what, the errno by name, and what to do.
"""

from __future__ import annotations

import builtins
import errno as _errno
import os

from crabcan import _core

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from crabcan._run import CompletedProcess


class Error(Exception):
    """Base of everything that crabcan raises by itself.

    Attributes:
        code: the number that the tutorial crabcan comes from gives to the case, or None.
        advice: what to do about it; empty where nothing is known to help.

    Example:
        >>> import crabcan
        >>> try:
        ...     crabcan.run(["true"], hostname="")
        ... except crabcan.Error as error:
        ...     print(error.advice)
        give 1 to 64 bytes

    """

    code: int | None = None
    advice: str = ""
    _what: str = ""

    def __str__(self) -> str:
        text = self._what or (str(self.args[-1]) if self.args else "")
        return f"{text} - {self.advice}" if self.advice else text


class ArgumentInvalid(Error, ValueError):
    """An argument was refused before anything was started.

    Example:
        >>> import crabcan
        >>> crabcan.run(["true"], hostname="")
        Traceback (most recent call last):
        crabcan.errors.ArgumentInvalid: hostname: '' is refused - give 1 to 64 bytes

    """


class ArgumentTypeInvalid(Error, TypeError):
    """An argument is of another type than it should be.

    Example:
        >>> import crabcan
        >>> crabcan.run(["true"], umask="022")
        Traceback (most recent call last):
        crabcan.errors.ArgumentTypeInvalid: umask: '022' is a str - give an int

    """


class NotSupported(Error):
    """The host cannot run containers: code 0 for its kernel, 1 for its architecture.

    Example:
        >>> import crabcan
        >>> try:
        ...     code = crabcan.run(["true"]).returncode
        ... except crabcan.NotSupported as error:
        ...     print("no containers here:", error.advice)

    """


class LimitUnavailable(NotSupported):
    """A limit that was asked for cannot be enforced on this host.

    Example:
        >>> import crabcan
        >>> def limits():
        ...     try:
        ...         crabcan.run(["true"], limits=crabcan.Limits(memory="64M"))
        ...     except crabcan.LimitUnavailable:
        ...         return "none by control groups"
        ...     return "all"
        >>> limits() in ("all", "none by control groups")
        True

    """


class SocketError(Error, OSError):
    """The boolean channel: code 0 creating, 1 sending, 2 receiving.

    Example:
        >>> import crabcan
        >>> with crabcan.Container(["true"]) as container:
        ...     container.create()
        ...     code = container.wait()
        ...     try:
        ...         container.recv_bool()
        ...     except crabcan.SocketError as error:
        ...         print(error.code, error.advice)
        2 the other side has closed its end, or has ended

    """


class ReceiveTimeout(SocketError, TimeoutError):
    """No boolean came in time.

    Example:
        >>> import crabcan
        >>> with crabcan.Container(["sleep", "60"]) as container:
        ...     container.create()
        ...     try:
        ...         container.recv_bool(timeout=0.01)
        ...     except crabcan.ReceiveTimeout:
        ...         print("nothing yet")
        nothing yet

    """


class ContainerError(Error):
    """The container is not in the state that the call needs.

    Example:
        >>> import crabcan
        >>> crabcan.Container(["true"]).wait()
        Traceback (most recent call last):
        crabcan.errors.ContainerError: wait: the container has not been created; call create() first

    """


class ChildProcessError(Error, builtins.ChildProcessError):
    """The child could not be cloned (code 0).

    Example:
        >>> import builtins, crabcan
        >>> issubclass(crabcan.ChildProcessError, builtins.ChildProcessError)
        True

    """


class SetupError(Error, OSError):
    """A step on the way to the payload failed; nothing of the container is left.

    Attributes:
        step: the step's name, as in ``mount``.
        index: which of several, for mounts.

    Example:
        >>> import crabcan
        >>> try:
        ...     crabcan.run(["true"], cwd="/no/such/directory")
        ... except crabcan.SetupError as error:
        ...     print(error.step, error.errno, error.advice)
        cwd 2 give as cwd a directory that exists inside the container

    """

    step: str = ""
    index: int = 0


class DirectoryNotFound(SetupError, FileNotFoundError):
    """The working directory, `cwd`, does not exist inside the container.

    Example:
        >>> import crabcan
        >>> try:
        ...     crabcan.run(["true"], cwd="/no/such/directory")
        ... except FileNotFoundError as error:
        ...     print(type(error).__name__, error.filename)
        DirectoryNotFound /no/such/directory

    """


class CommandNotFound(SetupError, FileNotFoundError):
    """The command does not exist inside the container.

    Example:
        >>> import crabcan
        >>> try:
        ...     crabcan.run(["no-such-command"])
        ... except FileNotFoundError as error:
        ...     print(type(error).__name__)
        CommandNotFound

    """


class CommandNotExecutable(SetupError, PermissionError):
    """The command exists inside the container, but may not be executed.

    Example:
        >>> import crabcan
        >>> try:
        ...     crabcan.run(["/etc/passwd"])
        ... except PermissionError as error:
        ...     print(type(error).__name__)
        CommandNotExecutable

    """


class CallError(Error):
    """A function that was called in a container gave no value.

    Attributes:
        completed: the crabcan.CompletedProcess of its container; its `stderr` is what it printed.

    Example:
        >>> import crabcan, os
        >>> with crabcan.Executor() as executor:
        ...     error = executor.submit(os._exit, 3).exception()
        >>> isinstance(error, crabcan.CallError), error.completed.returncode
        (True, 3)

    """

    completed: CompletedProcess | None = None


class CallDied(CallError):
    """It ended before it had answered: by itself, by a signal, or because memory ran out.

    Example:
        >>> import crabcan, os
        >>> with crabcan.Executor() as executor:
        ...     executor.submit(os._exit, 3).result()
        Traceback (most recent call last):
        crabcan.errors.CallDied: the call ended with exit code 3

    """


class CallTimeout(CallError, TimeoutError):
    """A limit of time, wall_time or cpu_time, ended it.

    Example:
        >>> import crabcan, time
        >>> with crabcan.Executor(limits=crabcan.Limits(wall_time=0.5)) as executor:
        ...     executor.submit(time.sleep, 60).result()
        Traceback (most recent call last):
        crabcan.errors.CallTimeout: the call took longer than its limit of time

    """


class AnswerInvalid(CallError):
    """What came back is no answer, or more than limits.output.

    Example:
        >>> import crabcan
        >>> with crabcan.Executor(limits=crabcan.Limits(output="1K")) as executor:
        ...     executor.submit(bytes, 10_000).result()
        Traceback (most recent call last):
        crabcan.errors.AnswerInvalid: it answered or printed more than limits.output

    """


class RemoteError(CallError):
    """It raised an exception whose class is not made anew outside; as a cause, what it said.

    Attributes:
        type_name: the name of its class.
        traceback: its traceback, in words. They come from inside: believe none of them.

    Example:
        >>> import crabcan, sys
        >>> with crabcan.Executor() as executor:
        ...     error = executor.submit(sys.exit, 3).exception()
        >>> error.type_name
        'builtins.SystemExit'

    """

    type_name: str = ""
    traceback: str = ""

    def __str__(self) -> str:
        return f"{super().__str__()}\n\n{self.traceback}".rstrip()


_USER_NAMESPACES = (
    "this host does not let you create a user namespace: leave a chroot if you are in one, see "
    "sysctl user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns, "
    "or run as root"
)

# (step, errno) -> what to do; None stands for any step, or for any errno of the step.
_ADVICE: dict[tuple[str | None, int | None], str] = {
    (None, _errno.EMFILE): "raise the limit on descriptors (ulimit -n)",
    ("clone", _errno.EPERM): _USER_NAMESPACES,
    ("clone", _errno.ENOSPC): _USER_NAMESPACES,
    ("clone", _errno.EUSERS): _USER_NAMESPACES,
    ("clone", _errno.EAGAIN): "raise the limit on processes (ulimit -u, or the cgroup's pids.max)",
    ("clone", _errno.ENOMEM): "free memory, or wait until other containers have ended",
    ("clone", _errno.EINVAL): "the kernel lacks one of the namespaces; crabcan needs Linux 5.14",
    ("image", _errno.EACCES): "set sysctl vm.memfd_noexec below 2: init is executed from a memfd",
    ("exec_init", _errno.EACCES): "set sysctl vm.memfd_noexec below 2: init is executed from "
    "a memfd",
    ("uid_map", None): "a user without privilege can map its own id only, and /proc must be "
    "the host's",
    ("gid_map", None): "a user without privilege can map its own id only, and /proc must be "
    "the host's",
    ("root", _errno.ENOENT): "give an existing directory as root",
    ("root", _errno.EACCES): "every directory on the way to root must be searchable by you",
    ("mount", _errno.EROFS): "make the mount point in the root directory beforehand: the root is "
    "on a read-only file system",
    ("mount", _errno.EACCES): "make the mount point in the root directory beforehand: you may not "
    "write there",
    ("mount", _errno.ENOENT): "a link in the root leads to what is not there: make it, inside",
    ("mount", _errno.ELOOP): "a link in the root leads to itself: give a place without links",
    ("mount", _errno.EBUSY): "the path leads to the root itself: look for a link in the root",
    ("mount", _errno.EPERM): "inside another container the host's /proc may be masked, which keeps "
    "a new /proc from being mounted in a user namespace",
    ("idmap", _errno.EINVAL): "its file system, or one that is mounted below it, cannot show "
    "owners through a map: give idmap=False (root_idmap=False for the root) to have them shown as "
    "nobody, or userns='host'",
    ("idmap", _errno.EPERM): "it is mapped already, or its file system belongs to another user "
    "namespace: give idmap=False",
    ("rlimit", _errno.EPERM): "give at most the hard limit that you have: to raise it takes "
    "CAP_SYS_RESOURCE",
    ("nice", _errno.EACCES): "a lower nice than yours takes CAP_SYS_NICE on the host",
    ("nice", _errno.EPERM): "a lower nice than yours takes CAP_SYS_NICE on the host",
    ("oom_score", _errno.EACCES): "a lower oom_score_adj than yours takes CAP_SYS_RESOURCE on the "
    "host",
    ("exec", _errno.E2BIG): "an argument or a variable of the environment has 131071 bytes at most "
    "(with its name), and all of them a quarter of RLIMIT_STACK, at most 6 MiB (execve(2)): give "
    "it as a file, or as input",
    ("exec", _errno.ENAMETOOLONG): "a path has 4095 bytes at most, and each name in it 255",
    ("mount", _errno.EINVAL): "a file goes on a file, and a directory on a directory; of a file "
    "system, an option is none of its own",
    ("mount", _errno.ENOTDIR): "a file goes on a file, and a directory on a directory",
    ("cwd", _errno.ENOTDIR): "give as cwd a directory that exists inside the container",
    ("affinity", _errno.EINVAL): "none of these CPUs is there for you: see nproc and taskset -p",
    ("join", _errno.EINVAL): "the file is a namespace of another kind, or none",
    ("join", _errno.EPERM): "to join a namespace takes CAP_SYS_ADMIN in its user namespace",
    ("landlock", _errno.ENOENT): "list only paths that exist inside the container",
    ("root", _errno.EBUSY): "something is mounted over the caller's own root directory",
    ("cwd", _errno.EXDEV): "it leads out of the container, by a descriptor that was given to it",
    ("seccomp", _errno.EINVAL): "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)",
    ("terminal", _errno.ENOSPC): "all pseudoterminals are taken: raise sysctl kernel.pty.max",
    ("terminal", _errno.ENODEV): "it needs a /dev/pts: add crabcan.Dev() to mounts",
    ("cwd", _errno.ENOENT): "give as cwd a directory that exists inside the container",
    ("ids", _errno.EINVAL): "the id is not mapped in the user namespace: without privilege there "
    "is only one",
    ("exec", _errno.ENOENT): "look it up inside the root: the command, or the interpreter or "
    "dynamic loader that it names, is not there",
    ("exec", _errno.EACCES): "make it executable (chmod +x), and check that it is a file",
    ("exec", _errno.ENOEXEC): "it is no program for this machine; a script needs a #! line",
}


def name_of(errnum: int) -> str:
    """The errno's name and text: ``EPERM, operation not permitted``."""
    name = _errno.errorcode.get(errnum, f"errno {errnum}")
    return f"{name}, {os.strerror(errnum).lower()}"


def _class_of(step: str, errnum: int) -> type[SetupError | ChildProcessError | SocketError]:
    if step == "clone":
        return ChildProcessError
    if step == "socketpair":
        return SocketError
    if step == "exec" and errnum in (_errno.ENOENT, _errno.ENOTDIR):
        return CommandNotFound
    if step == "cwd" and errnum == _errno.ENOENT:
        return DirectoryNotFound
    if step == "exec" and errnum in (_errno.EACCES, _errno.EPERM, _errno.ENOEXEC):
        return CommandNotExecutable
    return SetupError


def _advice(step: str, errnum: int) -> str:
    for key in ((step, errnum), (None, errnum), (step, None)):
        if key in _ADVICE:
            return _ADVICE[key]
    return ""


def of_step(number: int, index: int, errnum: int, about: str) -> Error:
    """The exception for a step that failed; `about` is what the step works on."""
    step, doing = _core.STEPS[number]
    what = f"{doing} {about}".rstrip()
    if step == "mount":
        what = f"{doing} mounts[{index}]: {about}"
    place = f"step {number + 1} of {len(_core.STEPS)}"
    error = _class_of(step, errnum)(errnum, os.strerror(errnum))
    error._what = f"{what}: {name_of(errnum)} ({place})"
    error.code = 0
    error.advice = _advice(step, errnum)
    if isinstance(error, SetupError):
        error.step = step
        error.index = index
    return error


def of_call(doing: str, problem: OSError, step: str) -> SetupError:
    """The exception for a system call of the caller's that failed."""
    errnum = problem.errno or 0
    about = "" if problem.filename is None else f" {problem.filename}"
    error = SetupError(errnum, problem.strerror)
    error._what = f"{doing}{about}: {name_of(errnum)}"
    error.code = 0
    error.advice = _advice(step, errnum)
    error.step = step
    return error


def of_socket(error: OSError, doing: str, code: int) -> SocketError:
    """The exception for a boolean that could not be sent or received."""
    errnum = error.errno or 0
    kind = ReceiveTimeout if errnum == _errno.ETIMEDOUT else SocketError
    converted = kind(errnum, f"{doing}: {name_of(errnum)}")
    converted.code = code
    if errnum == _errno.EPIPE:
        converted.advice = "the other side has closed its end, or has ended"
    elif errnum == _errno.EBADMSG:
        converted.advice = "the other side must send one byte at a time, 0 or 1"
    return converted


def shown(value: object) -> str:
    """A value as an error has it: its repr, or the beginning of that."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"


def invalid(field: str, value: object, fix: str) -> ArgumentInvalid:
    """The exception for a value that is refused: the field, the value and the fix."""
    error = ArgumentInvalid(f"{field}: {shown(value)} is refused")
    error.advice = fix
    return error
