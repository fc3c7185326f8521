r"""subprocess, but every child is a container.

>>> import crabcan
>>> crabcan.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout
'2\n'
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    import builtins

    from crabcan import aio as aio
    from crabcan._exec import Exec
    from crabcan._inside import Inside, inside
    from crabcan._popen import Popen
    from crabcan._run import (
        DEVNULL,
        PIPE,
        STDOUT,
        CalledProcessError,
        CompletedProcess,
        TimeoutExpired,
        run,
    )
    from crabcan._state import NoSuchContainer
    from crabcan.container import Container
    from crabcan.errors import (
        AnswerInvalid,
        ArgumentInvalid,
        ArgumentTypeInvalid,
        CallDied,
        CallError,
        CallTimeout,
        ChildProcessError,
        CommandNotExecutable,
        CommandNotFound,
        ContainerError,
        DirectoryNotFound,
        Error,
        LimitUnavailable,
        NotSupported,
        ReceiveTimeout,
        RemoteError,
        SetupError,
        SocketError,
    )
    from crabcan.executor import Executor, Future
    from crabcan.landlock import Landlock
    from crabcan.limits import Limits
    from crabcan.mounts import (
        Bind,
        Dev,
        Directory,
        File,
        Mqueue,
        Overlay,
        Proc,
        Symlink,
        Sysfs,
        Tmpfs,
    )
    from crabcan.named import Named, get, start
    from crabcan.named import list as list
    from crabcan.namespaces import Join
    from crabcan.pool import Pool
    from crabcan.spec import Spec
    from crabcan.terminal import Terminal
    from crabcan.timeline import Step
    from crabcan.usage import Usage

# Where each public name lives. Imported at first use (PEP 562): `run` on the command line needs
# a part of them only, and subprocess alone takes as long to import as several launches.
_HOMES = {
    "AnswerInvalid": "errors",
    "ArgumentInvalid": "errors",
    "ArgumentTypeInvalid": "errors",
    "Bind": "mounts",
    "CallDied": "errors",
    "CallError": "errors",
    "CallTimeout": "errors",
    "CalledProcessError": "_run",
    "ChildProcessError": "errors",
    "CommandNotExecutable": "errors",
    "CommandNotFound": "errors",
    "CompletedProcess": "_run",
    "Container": "container",
    "ContainerError": "errors",
    "DEVNULL": "_run",
    "Dev": "mounts",
    "Directory": "mounts",
    "DirectoryNotFound": "errors",
    "Error": "errors",
    "Exec": "_exec",
    "Executor": "executor",
    "File": "mounts",
    "Future": "executor",
    "Inside": "_inside",
    "Join": "namespaces",
    "Landlock": "landlock",
    "LimitUnavailable": "errors",
    "Limits": "limits",
    "Mqueue": "mounts",
    "Named": "named",
    "NoSuchContainer": "_state",
    "NotSupported": "errors",
    "Overlay": "mounts",
    "PIPE": "_run",
    "Pool": "pool",
    "Popen": "_popen",
    "Proc": "mounts",
    "ReceiveTimeout": "errors",
    "RemoteError": "errors",
    "STDOUT": "_run",
    "SetupError": "errors",
    "SocketError": "errors",
    "Spec": "spec",
    "Step": "timeline",
    "Symlink": "mounts",
    "Sysfs": "mounts",
    "Terminal": "terminal",
    "TimeoutExpired": "_run",
    "Tmpfs": "mounts",
    "Usage": "usage",
    "get": "named",
    "inside": "_inside",
    "list": "named",
    "run": "_run",
    "start": "named",
}

_MODULES = ("aio",)

# Without list: `from crabcan import *` may not take the built-in one away.
__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "AnswerInvalid",
    "ArgumentInvalid",
    "ArgumentTypeInvalid",
    "Bind",
    "CallDied",
    "CallError",
    "CallTimeout",
    "CalledProcessError",
    "ChildProcessError",
    "CommandNotExecutable",
    "CommandNotFound",
    "CompletedProcess",
    "Container",
    "ContainerError",
    "Dev",
    "Directory",
    "DirectoryNotFound",
    "Error",
    "Exec",
    "Executor",
    "File",
    "Future",
    "Inside",
    "Join",
    "Landlock",
    "LimitUnavailable",
    "Limits",
    "Mqueue",
    "Named",
    "NoSuchContainer",
    "NotSupported",
    "Overlay",
    "Pool",
    "Popen",
    "Proc",
    "ReceiveTimeout",
    "RemoteError",
    "SetupError",
    "SocketError",
    "Spec",
    "Step",
    "Symlink",
    "Sysfs",
    "Terminal",
    "TimeoutExpired",
    "Tmpfs",
    "Usage",
    "get",
    "inside",
    "run",
    "start",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None and name not in _MODULES:
        raise AttributeError(f"module 'crabcan' has no attribute {name!r}")
    from importlib import import_module

    value: object = import_module(f"crabcan.{home or name}")
    if home is not None:
        value = getattr(value, name)
    globals()[name] = value
    return value


def __dir__() -> builtins.list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
