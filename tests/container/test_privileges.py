"""What a payload may be given: capabilities, rlimits, priorities, Landlock."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest

import crabcan
from crabcan import Landlock, _core

Run = Callable[..., str]

CHOWN, NET_ADMIN = 0, 12  # capabilities(7)


def sets_of(text: str) -> dict[str, int]:
    pairs = (line.split() for line in text.splitlines() if line.startswith("Cap"))
    return {name.rstrip(":"): int(value, 16) for name, value in pairs}


@pytest.mark.parametrize("name", ["net_admin", "CAP_NET_ADMIN", "Cap_Net_Admin"])
def test_a_capability_is_kept_by_root(name: str, inside: Run) -> None:
    sets = sets_of(inside("cat /proc/self/status", capabilities=[name]))
    kept = 1 << NET_ADMIN
    assert sets == {"CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapBnd": kept, "CapAmb": 0}


def test_a_capability_is_kept_by_anybody(inside: Run) -> None:
    sets = sets_of(inside("cat /proc/self/status", capabilities=["net_admin"], uid=1234))
    assert set(sets.values()) == {1 << NET_ADMIN}


def test_a_capability_works_and_its_absence_too(inside: Run) -> None:
    script = (  # SIOCSIFFLAGS: take lo down
        "import socket, fcntl, struct; s = socket.socket(); "
        "fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 0))"
    )
    inside(f'python3 -c "{script}"', capabilities=["net_admin"])
    inside(f'! python3 -c "{script}" 2>/dev/null')


def test_an_unknown_capability_is_refused() -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match="net_admin"):
        crabcan.Container(["true"], capabilities=["net_admni"])


def test_rlimits(inside: Run) -> None:
    limits = {"nofile": (64, 128), "RLIMIT_STACK": 1 << 20}
    assert inside("ulimit -n; ulimit -Hn; ulimit -s", rlimits=limits).split() == [
        "64",
        "128",
        "1024",
    ]
    assert inside("ulimit -c", rlimits={"core": 4096}).strip() == "8"
    with pytest.raises(crabcan.ArgumentInvalid, match="did you mean 'nofile'"):
        crabcan.Container(["true"], rlimits={"nofiles": 1})
    with pytest.raises(crabcan.ArgumentInvalid, match="above the hard"):
        crabcan.Container(["true"], rlimits={"nofile": (2, 1)})


def test_a_limit_that_cannot_be_raised_is_an_error() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(crabcan.SetupError, match="resource limit") as caught:
        crabcan.run(["true"], rlimits={"nofile": hard + 1})
    assert caught.value.step == "rlimit"


def test_nice_umask_affinity_and_oom_score(inside: Run) -> None:
    assert inside("nice", nice=os.getpriority(os.PRIO_PROCESS, 0) + 3) == "3\n"
    assert inside("cat /proc/self/oom_score_adj", oom_score_adj=900) == "900\n"
    assert inside("umask", umask=0o077) == "0077\n"
    assert inside("umask") == "0022\n"
    cpu = max(os.sched_getaffinity(0))
    line = inside("grep Cpus_allowed_list /proc/self/status", cpu_affinity=[cpu])
    assert line.split()[1] == str(cpu)
    with pytest.raises(crabcan.SetupError, match="CPU affinity: EINVAL"):
        crabcan.run(["true"], cpu_affinity=[8000])


def test_nothing_runs_on_after_its_caller(tmp_path: os.PathLike[str]) -> None:
    # See test_threads for a caller that is killed; here the container is closed while it runs.
    with crabcan.Container(["sleep", "1234"]) as container:
        container.create()
        pid = container.child_pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)


def test_landlock_files(inside: Run) -> None:
    wall = Landlock(read=["/usr", "/lib", "/lib64", "/bin", "/etc/hosts"], write=["/tmp", "/dev"])
    script = (
        "cat /etc/hosts > /tmp/copy && ! cat /etc/passwd 2>/dev/null && ! ls / 2>/dev/null"
        " && ! touch /var/tmp/x 2>/dev/null"
    )
    inside(script, landlock=wall)
    inside("cat /etc/passwd && ls / && touch /var/tmp/x")


def test_landlock_ports(inside: Run) -> None:
    wall = Landlock(connect=[], bind=[8081])
    script = (
        "import socket\n"
        "def attempt(port):\n"
        "    s = socket.socket(); s.bind(('127.0.0.1', port)); s.listen(); return s\n"
        "s = attempt(8081)\n"
        "connect = lambda: socket.create_connection(('127.0.0.1', 8081))\n"
        "for call in (lambda: attempt(8082), connect):\n"
        "    try: call(); print('through')\n"
        "    except PermissionError: print('refused')\n"
    )
    command = ["python3", "-c", script]
    if _core.landlock_version() < 4:  # Linux 6.7
        with pytest.raises(crabcan.NotSupported, match="version 4 is needed"):
            crabcan.run(command, landlock=wall)
        return
    walled = crabcan.run(command, landlock=wall, capture_output=True, text=True)
    assert walled.stdout.split() == ["refused", "refused"], walled.stderr
    free = crabcan.run(command, capture_output=True, text=True)
    assert free.stdout.split() == ["through", "through"], free.stderr


def test_landlock_of_what_is_not_there(inside: Run) -> None:
    with pytest.raises(crabcan.SetupError, match="Landlock for /nope: ENOENT"):
        inside("true", landlock=Landlock(read=["/nope"]))


def test_no_descriptor_of_the_host(inside: Run) -> None:
    # A directory of the host as stdin is the caller's gift, and no way out for cwd.
    fd = os.open("/etc", os.O_RDONLY)
    try:
        with pytest.raises(crabcan.SetupError, match="EXDEV") as caught:
            crabcan.run(["true"], stdin=fd, cwd="/proc/self/fd/0")
        assert caught.value.step == "cwd"
    finally:
        os.close(fd)


def test_an_abstract_socket_of_the_host_is_not_reached(inside: Run) -> None:
    name = f"\0crabcan-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        script = (
            "import socket; s = socket.socket(socket.AF_UNIX); " f"s.connect('\\0' + {name[1:]!r})"
        )
        walled = crabcan.run(["python3", "-c", script], capture_output=True, text=True)
        assert "ConnectionRefusedError" in walled.stderr
        shared = crabcan.run(["python3", "-c", script], network="host", capture_output=True)
        assert shared.returncode == 0
