"""What works on this machine for this user, found by trying it, and what to do about the rest."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import crabcan
from crabcan import _core, cgroup, host, landlock
from crabcan._value import Value

_TIMEOUT = 20.0  # seconds for one container that does nothing

OK, NO, UNNEEDED = "ok", "no", "not needed"


class Finding(Value):
    """One feature.

    Attributes:
        feature: its name, stable.
        state: ``ok``, ``no`` or ``not needed``.
        detail: what was found.
        advice: what to do about it; empty where it is ok.

    """

    __slots__ = ("feature", "state", "detail", "advice")

    feature: str
    state: str
    detail: str
    advice: str

    def __init__(self, feature: str, state: str, detail: str, advice: str = "") -> None:
        self._set(feature=feature, state=state, detail=detail, advice=advice)


def _try(command: list[str], **options: Any) -> str:
    """The output of a container; its errors are the caller's to tell."""
    done = crabcan.run(command, capture_output=True, text=True, timeout=_TIMEOUT, **options)
    if done.returncode != 0:
        raise crabcan.Error(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return str(done.stdout)


def _kernel() -> tuple[str, str]:
    host.check()
    return OK, f"Linux {os.uname().release} on {os.uname().machine}"


def _default_container() -> tuple[str, str]:
    _try(["true"])
    return OK, "a container with every wall runs"


def _user_namespaces() -> tuple[str, str]:
    mapped = _try(["cat", "/proc/self/uid_map"]).split()
    return OK, f"id {mapped[0]} inside is {mapped[1]} outside, {mapped[2]} of them"


def _sub_ids() -> tuple[str, str]:
    from crabcan import identity

    if identity.is_privileged():
        return UNNEEDED, "root has a range of ids anyway"
    mapped = _try(["cat", "/proc/self/uid_map"], userns="subids").splitlines()
    return OK, f"{sum(int(line.split()[2]) for line in mapped)} ids by newuidmap"


def _idmapped_mounts() -> tuple[str, str]:
    from crabcan import identity

    if not identity.is_privileged():
        return UNNEEDED, "an ordinary user's files are shown by the one id"
    with tempfile.TemporaryDirectory() as folder:
        owner = _try(["stat", "-c", "%u", "/in"], mounts=[crabcan.Bind(folder, "/in")]).strip()
    return OK, f"{tempfile.gettempdir()}: a directory of id 0 is shown as id {owner}"


def _overlay() -> tuple[str, str]:
    _try(["touch", "/in/x"], mounts=[crabcan.Overlay("/in", "/usr")])
    return OK, "a writable layer over /usr"


def _controller(name: str, limits: crabcan.Limits) -> tuple[str, str]:
    _try(["true"], limits=limits)
    where = {row[0]: row[1] for row in cgroup.describe()}[name]
    return OK, f"the {name} controller is in {where}"


def _cgroup_memory() -> tuple[str, str]:
    return _controller("memory", crabcan.Limits(memory="64M"))


def _cgroup_pids() -> tuple[str, str]:
    state, detail = OK, "counted by RLIMIT_NPROC, in the container's user namespace"
    if {row[0]: row[2] for row in cgroup.describe()}["pids"]:
        state, detail = _controller("pids", crabcan.Limits(pids=20))
    return state, detail


def _cgroup_cpu() -> tuple[str, str]:
    return _controller("cpu", crabcan.Limits(cpus=0.5))


def _cgroup_io() -> tuple[str, str]:
    return _controller("io", crabcan.Limits(io_weight=50))


def _cgroup_cpu_time() -> tuple[str, str]:
    _try(["true"], limits=crabcan.Limits(cpu_time=10))
    return OK, "the CPU time of all processes is counted"


def _seccomp() -> tuple[str, str]:
    fields = _try(["cat", "/proc/self/status"]).split()
    mode, filters = (fields[fields.index(name) + 1] for name in ("Seccomp:", "Seccomp_filters:"))
    if mode != "2":
        raise crabcan.Error(f"the command runs in seccomp mode {mode}")
    return OK, f"{filters} filters"


def _landlock() -> tuple[str, str]:
    _try(["true"], landlock=landlock.Landlock(read=["/"]))
    return OK, f"version {_core.landlock_version()}"


def _pasta() -> tuple[str, str]:
    routes = _try(["cat", "/proc/net/route", "/proc/net/ipv6_route"], network="pasta")
    return OK, f"a route on {routes.splitlines()[1].split()[0]}"


PROBES: tuple[tuple[str, Callable[[], tuple[str, str]]], ...] = (
    ("kernel", _kernel),
    ("default container", _default_container),
    ("user namespaces", _user_namespaces),
    ("sub-ids", _sub_ids),
    ("idmapped mounts", _idmapped_mounts),
    ("overlay", _overlay),
    ("seccomp", _seccomp),
    ("landlock", _landlock),
    ("limit memory", _cgroup_memory),
    ("limit pids", _cgroup_pids),
    ("limit cpus", _cgroup_cpu),
    ("limit io_weight", _cgroup_io),
    ("limit cpu_time", _cgroup_cpu_time),
    ("pasta", _pasta),
)

# Without these there is no default container.
NEEDED = ("kernel", "default container")


def examine() -> Iterator[Finding]:
    """Try each feature; what fails is a finding, not an error."""
    for feature, probe in PROBES:
        try:
            state, detail = probe()
            yield Finding(feature, state, detail)
        except Exception as error:
            advice = getattr(error, "advice", "")
            detail = str(error).removesuffix(f" - {advice}")
            yield Finding(feature, NO, detail, advice or "see docs/security.md")


def works(findings: list[Finding]) -> bool:
    """Whether the default container does."""
    return not any(f.state == NO for f in findings if f.feature in NEEDED)


def as_text(findings: list[Finding]) -> str:
    """A line each, and what to do below what is not ok."""
    lines = [f"crabcan {crabcan.__version__}, Python {platform.python_version()}, "
             f"user {os.geteuid()}"]  # fmt: skip
    for finding in findings:
        lines.append(f"{finding.state:>10}  {finding.feature:<18} {finding.detail}")
        if finding.advice:
            lines.append(f"{'':>10}  {'':<18} -> {finding.advice}")
    return "\n".join(lines)


def as_json(findings: list[Finding]) -> str:
    """An object with ``works`` and ``features``, each with the fields of Finding."""
    import json

    features = [{name: getattr(f, name) for name in Finding.__slots__} for f in findings]
    return json.dumps({"works": works(findings), "features": features}, indent=2)
