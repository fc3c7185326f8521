r"""subprocess, but every child is a container.

>>> import crabcan
>>> crabcan.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout
'2\n'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from crabcan._inside import Inside, inside
    from crabcan._run import CompletedProcess, TimeoutExpired, run
    from crabcan.container import Container
    from crabcan.errors import (
        ArgumentInvalid,
        ChildProcessError,
        CommandNotExecutable,
        CommandNotFound,
        ContainerError,
        Error,
        NotSupported,
        ReceiveTimeout,
        SetupError,
        SocketError,
    )
    from crabcan.spec import Spec

# Where each public name lives. Imported at first use (PEP 562): `run` on the command line needs
# a part of them only, and subprocess alone takes as long to import as several launches.
_HOMES = {
    "ArgumentInvalid": "errors",
    "ChildProcessError": "errors",
    "CommandNotExecutable": "errors",
    "CommandNotFound": "errors",
    "CompletedProcess": "_run",
    "Container": "container",
    "ContainerError": "errors",
    "Error": "errors",
    "Inside": "_inside",
    "NotSupported": "errors",
    "ReceiveTimeout": "errors",
    "SetupError": "errors",
    "SocketError": "errors",
    "Spec": "spec",
    "TimeoutExpired": "_run",
    "inside": "_inside",
    "run": "_run",
}

__all__ = [
    "ArgumentInvalid",
    "ChildProcessError",
    "CommandNotExecutable",
    "CommandNotFound",
    "CompletedProcess",
    "Container",
    "ContainerError",
    "Error",
    "Inside",
    "NotSupported",
    "ReceiveTimeout",
    "SetupError",
    "SocketError",
    "Spec",
    "TimeoutExpired",
    "inside",
    "run",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'crabcan' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"crabcan.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
