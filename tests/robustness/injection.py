"""A launch whose system calls are seen one by one, and one of which can be made to fail.

By a notifier of seccomp(2): the caller, the child that it clones, init and the payload's process
ask before each call; what is not to fail goes on as it is. Unlike ptrace(2) it tells the processes
apart, and counts the calls of each for itself.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_libseccomp = ctypes.CDLL("libseccomp.so.2")  # knows the names of system calls
_libseccomp.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p

# linux/seccomp.h, linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
_NEW_LISTENER, _WAIT_KILLABLE_RECV = 8, 32  # the latter since Linux 5.19
_RET_USER_NOTIF, _RET_ALLOW = 0x7FC00000, 0x7FFF0000
_FLAG_CONTINUE = 1
_RECV, _SEND = 0xC0502100, 0xC0182101
_NOTIF = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")

SECONDS = 40.0  # a launch takes a hundredth of that


@cache
def _name_of(number: int) -> str:
    text = _libseccomp.seccomp_syscall_resolve_num_arch(0, number)
    if not text:
        return str(number)
    name = ctypes.cast(text, ctypes.c_char_p).value or b""
    _libc.free(ctypes.c_void_p(text))
    return name.decode()


@cache
def _number_of(name: str) -> int:
    return int(_libseccomp.seccomp_syscall_resolve_name(name.encode()))


class Call(NamedTuple):
    """The nth call of that name by the process that has that role."""

    role: str  # a child is one until it executes init, a payload until it executes the command
    name: str
    nth: int

    def __str__(self) -> str:
        return f"{self.role} {self.name}#{self.nth}"


class Fault(NamedTuple):
    """What is to fail, and how."""

    call: Call
    errno: int

    def __str__(self) -> str:
        return f"{self.call} {errno.errorcode[self.errno]}"


@dataclass
class Seen:
    """What became of a launch."""

    calls: list[Call] = field(default_factory=list)
    tried: bool = False  # the call came, and failed
    hung: bool = False
    alive: bool = False  # a process outlived even its killed caller
    status: int = 0  # of the caller, as os.waitstatus_to_exitcode gives it
    answer: dict[str, Any] = field(default_factory=dict)


def _install(gate: int) -> int:
    """The listener of a filter that asks about every call but sendmsg(2) to the gate.

    Nor about an end: without a listener calls give ENOSYS, and who cannot end tries for ever.
    """
    instructions = (
        (0x20, 0, 0, 0),  # the number
        (0x15, 4, 0, _number_of("exit")),
        (0x15, 3, 0, _number_of("exit_group")),
        (0x15, 0, 3, _number_of("sendmsg")),
        (0x20, 0, 0, 16),  # the first argument
        (0x15, 0, 1, gate),
        (0x06, 0, 0, _RET_ALLOW),
        (0x06, 0, 0, _RET_USER_NOTIF),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *i) for i in instructions))
    program = ctypes.create_string_buffer(
        struct.pack("@HP", len(instructions), ctypes.addressof(code))
    )
    if os.geteuid():
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE_RECV, _NEW_LISTENER):
        listener = _libc.syscall(_number_of("seccomp"), _SET_MODE_FILTER, flags, program)
        if listener >= 0:
            return int(listener)
    raise OSError(ctypes.get_errno(), "seccomp: no listener")


class _Watch:
    """Gives each process its role and each call its number."""

    def __init__(self, caller: int, roles: tuple[str, ...], fault: Fault | None) -> None:
        self._roles = {caller: "caller"}
        self._next = iter(roles)
        self._fault = fault
        self._counts: dict[tuple[str, str], int] = {}
        self._watched = 0  # marks that have passed
        self._executes = False  # the payload's process has asked to
        self.seen = Seen()

    def _role_of(self, pid: int) -> str:
        if pid not in self._roles:
            self._roles[pid] = next(self._next, "")
        return self._roles[pid]

    def answer(self, pid: int, number: int) -> int:
        """The errno that the call is to give, or 0."""
        name, role = _name_of(number), self._role_of(pid)
        if role == "caller" and name == "getppid":
            self._watched += 1
            return 0
        if role == "payload" and self._has_executed(name):
            role = self._roles[pid] = ""
        if role == "child" and name == "execveat":
            self._roles[pid] = "init"
        if not role or not self._watched or (role == "caller" and self._watched > 1):
            return 0
        nth = self._counts[role, name] = self._counts.get((role, name), 0) + 1
        call = Call(role, name, nth)
        self.seen.calls.append(call)
        if self._fault is not None and self._fault.call == call:
            self.seen.tried = True
            return self._fault.errno
        return 0

    def _has_executed(self, name: str) -> bool:
        """It tries one name after the other; what follows, unless it gives up, is the payload's."""
        before, self._executes = self._executes, name == "execve"
        return before and name != "execve"


def mark() -> None:
    """The caller's calls between the first and the second are watched."""
    os.getppid()


def watch(
    launch: Callable[[], dict[str, Any]], roles: tuple[str, ...], fault: Fault | None = None
) -> Seen:
    """Run `launch` in a fork of this process, with one call that fails.

    `launch` calls mark() twice, and gives what JSON can hold. `roles` are of the processes that
    come after the caller, in their order; "" and later ones are not watched.
    """
    ours, gate = socket.socketpair()
    reader, writer = os.pipe()
    caller = os.fork()
    if caller == 0:
        ours.close()
        os.close(reader)
        _be_caller(launch, gate, writer)
    gate.close()
    os.close(writer)
    with ours, os.fdopen(reader, "rb") as file:
        _, (listener, *_), _, _ = socket.recv_fds(ours, 1, 1)
        try:
            seen = _supervise(listener, caller, _Watch(caller, roles, fault))
        finally:
            os.close(listener)
        text = file.read()
    seen.answer = json.loads(text) if text else {}
    return seen


def _be_caller(launch: Callable[[], dict[str, Any]], gate: socket.socket, writer: int) -> None:
    try:
        listener = _install(gate.fileno())
        socket.send_fds(gate, [b"l"], [listener])
        os.close(listener)
        os.write(writer, json.dumps(launch()).encode())
    except BaseException:
        traceback.print_exc()
        os._exit(99)
    os._exit(0)


def _supervise(listener: int, caller: int, watch: _Watch) -> Seen:
    """Until every process that has the filter is dead."""
    seen = watch.seen
    deadline = time.monotonic() + SECONDS
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    reaped = False
    while True:
        if not reaped:
            pid, status = os.waitpid(caller, os.WNOHANG)
            reaped, seen.status = pid != 0, os.waitstatus_to_exitcode(status) if pid else 0
        events = poll.poll(100)
        if events and events[0][1] & select.POLLHUP:
            break
        if events:
            _answer(listener, watch)
        elif time.monotonic() > deadline and not seen.hung:
            seen.hung = True
            os.kill(caller, signal.SIGKILL)
            deadline += SECONDS
        elif time.monotonic() > deadline:
            seen.alive = True
            break
    if not reaped:
        seen.status = os.waitstatus_to_exitcode(os.waitpid(caller, 0)[1])
    return seen


def _answer(listener: int, watch: _Watch) -> None:
    buffer = bytearray(_NOTIF.size)
    try:
        fcntl.ioctl(listener, _RECV, buffer)
        number, pid, _, syscall, *_ = _NOTIF.unpack(buffer)
        failing = watch.answer(pid, syscall)
        flags = 0 if failing else _FLAG_CONTINUE
        fcntl.ioctl(listener, _SEND, _ANSWER.pack(number, 0, -failing, flags))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EINTR):  # it died meanwhile
            raise
