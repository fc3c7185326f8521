"""Writes docs/cli.md and docs/man/*.1 from the tables that the command line itself is made of.

python docs/reference.py DIRECTORY
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from crabcan import __version__
from crabcan.cli import SUBCOMMANDS
from crabcan.cli.options import Option
from crabcan.cli.reference import Page, pages


def roff(text: str) -> str:
    """With what man(7) would act on made harmless."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def blocks(text: str) -> str:
    """Paragraphs, and what is set in as it stands."""
    out = []
    for block in text.split("\n\n"):
        if block.startswith("  "):
            out.append(f".PP\n.nf\n{roff(block)}\n.fi")
        else:
            out.append(f".PP\n{roff(block)}")
    return "\n".join(out)


def man_option(option: Option) -> str:
    """A tagged paragraph."""
    names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option.names)
    value = f"[={option.metavar}]" if option.optional else f" {option.metavar}"
    shown = f"\\fI{roff(value)}\\fR" if option.metavar else ""
    return f".TP\n{names}{shown}\n{roff(' '.join(option.help.splitlines()))}"


def man(page: Page) -> str:
    """One subcommand's page of section 1."""
    title = f"crabcan-{page.name}"
    lines = [
        f'.TH "{title.upper()}" "1" "" "crabcan {__version__}"',
        f".SH NAME\n{roff(title)} \\- {roff(page.brief)}",
        ".SH SYNOPSIS",
        "\n.br\n".join(f"\\fB{roff(usage)}\\fR" for usage in page.usage),
        f".SH DESCRIPTION\n{blocks(page.what)}",
    ]
    for name, options in page.sections:
        lines.append(f".SH {roff(name.upper())}")
        lines += map(man_option, options)
    if page.notes:
        lines.append(f".SH NOTES\n{blocks(page.notes)}")
    lines.append(".SH SEE ALSO\n.BR crabcan (1)")
    return "\n".join(lines) + "\n"


def man_of_all() -> str:
    """The page crabcan(1)."""
    lines = [
        f'.TH "CRABCAN" "1" "" "crabcan {__version__}"',
        ".SH NAME\ncrabcan \\- subprocess, but every child is a container",
        ".SH SYNOPSIS\n\\fBcrabcan\\fR \\fISUBCOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARG\\fR...]",
        ".SH SUBCOMMANDS",
    ]
    for name, brief in SUBCOMMANDS.items():
        lines.append(f".TP\n.BR crabcan\\-{name} (1)\n{roff(brief)}")
    lines.append(".SH SEE ALSO\n.BR namespaces (7),\n.BR capabilities (7),\n.BR seccomp (2)")
    return "\n".join(lines) + "\n"


def markdown(page: Page) -> str:
    """The page's part of docs/cli.md."""
    lines = [f"## crabcan {page.name}\n", *(f"    {usage}" for usage in page.usage), ""]
    lines += [re.sub(r"^  ", "    ", page.what, flags=re.MULTILINE), ""]
    for name, options in page.sections:
        lines.append(f"| {name} | |\n| --- | --- |")
        for option in options:
            spelling = option.spelling.strip().replace("|", "\\|")
            lines.append(f"| `{spelling}` | {' '.join(option.help.splitlines())} |")
        lines.append("")
    return "\n".join([*lines, page.notes, ""] if page.notes else lines)


def main() -> None:
    """Write them all."""
    docs = Path(sys.argv[1])
    (docs / "man").mkdir(exist_ok=True)
    found = list(pages())
    (docs / "man" / "crabcan.1").write_text(man_of_all())
    for page in found:
        (docs / "man" / f"crabcan-{page.name}.1").write_text(man(page))
    head = "# The command line\n\nWritten by `make reference`, from the tables of crabcan/cli.\n\n"
    (docs / "cli.md").write_text(head + "\n".join(map(markdown, found)))


if __name__ == "__main__":
    main()
