"""crabcan doctor."""

from __future__ import annotations

from crabcan.cli.options import Option, UsageError, help_text, parse

OPTIONS = (
    Option("", "--json", None, "as JSON"),
    Option("-h", "--help", None, "show this help"),
)

HELP = """\
usage: crabcan doctor [--json]

Tell which features work on this machine for you, by trying each, and what to do about those
that do not.

options:
{options}
exit code: 0 when the default container works, 1 when it does not.
"""


def run(words: list[str]) -> int:
    """Carry out ``crabcan doctor`` and return the exit code."""
    parsed = parse(OPTIONS, words)
    if "help" in parsed.flags:
        print(HELP.format(options=help_text(OPTIONS)), end="")
        return 0
    if parsed.rest:
        raise UsageError(f"doctor takes no argument: {parsed.rest[0]!r}", "say: crabcan doctor")
    from crabcan import doctor

    findings = list(doctor.examine())
    print(doctor.as_json(findings) if "json" in parsed.flags else doctor.as_text(findings))
    return 0 if doctor.works(findings) else 1
