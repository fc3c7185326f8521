"""A command's output on its way to ours, up to its limit."""

from __future__ import annotations

import os
import threading

from crabcan._run import Captured
from crabcan.container import Container
from crabcan.spec import Spec

CHUNK = 65536


class Relay:
    """Copies stdout and stderr of a container, and kills it beyond `limit` bytes of either."""

    def __init__(self, limit: int) -> None:
        self.over_limit = False
        self._limit = limit
        self._pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        self._threads: list[threading.Thread] = []

    def container(self, spec: Spec) -> Container:
        """One whose output comes here."""
        (_, stdout), (_, stderr) = self._pipes
        return Captured(spec, stdout=stdout, stderr=stderr)

    def start(self, container: Container) -> None:
        """Once it has been created."""
        for number, (reader, writer) in enumerate(self._pipes, 1):
            os.close(writer)
            thread = threading.Thread(target=self._copy, args=(container, reader, number))
            thread.start()
            self._threads.append(thread)

    def _copy(self, container: Container, reader: int, to: int) -> None:
        left = self._limit
        while chunk := os.read(reader, CHUNK):
            if left:
                _write(to, chunk[:left])
            if len(chunk) > left:
                self.over_limit = True
                container.kill()
            left -= min(left, len(chunk))
        os.close(reader)

    def join(self) -> None:
        """Until all of it has been copied."""
        for thread in self._threads:
            thread.join()


def _write(fd: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BrokenPipeError:  # nobody reads ours
            return
