"""Runs the tutorial's example, `crabcan -d -c /bin/bash -u 0 -m ./mountdir/`, and prints it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = "crabcan run --debug --command /bin/bash --uid 0 --mount ./mountdir/"
TYPED = "echo PID $$, uid $UID, on $HOSTNAME\necho /*\nexit 3\n"

PAGE = """\
# The tutorial's example, run

Written by `make transcript` from a real run, {who}: a root directory that holds bash and its
libraries, the tutorial's flags, and three lines typed to bash.

    $ find mountdir -type f
{files}

    $ {command} <<END
{typed}
    > END
{output}

    $ echo $?
    {code}
"""


def make_root(root: Path) -> None:
    """Put bash, and the libraries that it names, into a directory of their own."""
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/bash", root / "bin" / "bash")
    listed = subprocess.run(["ldd", "/bin/bash"], capture_output=True, text=True, check=True)
    for word in listed.stdout.split():
        if word.startswith("/"):
            target = root / word.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, target)


def indent(text: str, prefix: str = "    ") -> str:
    """Indent every line, which makes it code in Markdown."""
    return "\n".join(prefix + line for line in text.splitlines())


def main() -> None:
    """Print the page."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "mountdir"
        make_root(root)
        files = sorted(str(p.relative_to(folder)) for p in root.rglob("*") if p.is_file())
        done = subprocess.run(
            [sys.executable, "-P", "-m", *COMMAND.split()],
            cwd=folder,
            input=TYPED,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    print(
        PAGE.format(
            who="as root" if os.geteuid() == 0 else "as an ordinary user",
            files=indent("\n".join(files)),
            command=COMMAND,
            typed=indent(TYPED, "    > "),
            output=indent(done.stdout),
            code=done.returncode,
        ),
        end="",
    )


if __name__ == "__main__":
    main()
