"""crabcan completion."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from crabcan.cli import SUBCOMMANDS, reference
from crabcan.cli.options import Option, UsageError, help_text, parse
from crabcan.cli.reference import COMMAND, KNOWN, RUNNING, Page

OPTIONS = (Option("-h", "--help", None, "show this help"),)

HELP = """\
usage: crabcan completion bash|zsh|fish

Print what makes a shell complete crabcan's subcommands, options, values and containers.

  bash   crabcan completion bash > ~/.local/share/bash-completion/completions/crabcan
  zsh    crabcan completion zsh > DIR/_crabcan, for a DIR in $fpath
  fish   crabcan completion fish > ~/.config/fish/completions/crabcan.fish

options:
{options}
"""

LISTS = {RUNNING: "crabcan ps -q", KNOWN: "crabcan ps -a -q"}


def run(words: list[str]) -> int:
    """Carry out ``crabcan completion`` and return the exit code."""
    parsed = parse(OPTIONS, words)
    if "help" in parsed.flags:
        print(HELP.format(options=help_text(OPTIONS)), end="")
        return 0
    if len(parsed.rest) != 1 or parsed.rest[0] not in SHELLS:
        raise UsageError("a shell is to be named", f"give one of {', '.join(SHELLS)}")
    print("\n".join(SHELLS[parsed.rest[0]](list(reference.pages()))))
    return 0


def _valued(page: Page) -> list[Option]:
    """Options whose value is the next word."""
    return [option for option in page.options if option.metavar and not option.optional]


def _bash(pages: list[Page]) -> Iterator[str]:
    yield from (
        "# bash completion for crabcan",
        "_crabcan() {",
        '    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i',
        "    local options= valued= words=",
        "    COMPREPLY=()",
        "    if ((COMP_CWORD == 1)); then",
        f'        COMPREPLY=($(compgen -W "{" ".join(SUBCOMMANDS)} --help --version" -- "$cur"))',
        "        return",
        "    fi",
        "    case ${COMP_WORDS[1]} in",
    )  # fmt: skip
    for page in pages:
        names = " ".join(name for option in page.options for name in option.names)
        valued = " ".join(name for option in _valued(page) for name in option.names)
        yield f"    {page.name})"
        yield f'        options="{names}" valued=" {valued} " words={page.words or "none"}'
        yield "        case $prev in"
        for option in _valued(page):
            action = _bash_value(option)
            if action:
                yield f"        {'|'.join(option.names)}) {action}; return ;;"
        yield "        esac ;;"
    yield from (
        "    *) return ;;",
        "    esac",
        '    [[ $valued == *" $prev "* ]] && return',
        "    # The first word that is no option and no value of one.",
        "    for ((i = 2; i < COMP_CWORD; i++)); do",
        "        case ${COMP_WORDS[i]} in",
        "        --) ((i++)); break ;;",
        '        -*) [[ $valued == *" ${COMP_WORDS[i]} "* ]] && ((i++)) ;;',
        "        *) break ;;",
        "        esac",
        "    done",
        "    if ((i >= COMP_CWORD)) && [[ $cur == -* ]]; then",
        '        COMPREPLY=($(compgen -W "$options" -- "$cur"))',
        "        return",
        "    fi",
        "    case $words in",
        '    command) if ((i >= COMP_CWORD)); then COMPREPLY=($(compgen -c -- "$cur"))',
        '        else COMPREPLY=($(compgen -f -- "$cur")); fi ;;',
    )
    for kind, ask in LISTS.items():
        yield f'    {kind}) COMPREPLY=($(compgen -W "$({ask} 2>/dev/null)" -- "$cur")) ;;'
    yield from ("    esac", "}", "complete -o filenames -F _crabcan crabcan")


def _bash_value(option: Option) -> str:
    if values := reference.choices(option):
        return f'COMPREPLY=($(compgen -W "{" ".join(values)}" -- "$cur"))'
    if option.metavar == "DIR":
        return 'COMPREPLY=($(compgen -d -- "$cur"))'
    return 'COMPREPLY=($(compgen -f -- "$cur"))' if reference.takes_file(option) else ""


def _zsh(pages: list[Page]) -> Iterator[str]:
    yield from ("#compdef crabcan", "_crabcan() {", "    local -a subcommands containers",
                "    subcommands=(")  # fmt: skip
    for page in pages:
        yield "        " + shlex.quote(f"{page.name}:{page.brief}")
    yield from ("    )", "    if ((CURRENT == 2)); then",
                "        _describe subcommand subcommands", "        return", "    fi",
                "    shift words; ((CURRENT--))", "    case $words[1] in")  # fmt: skip
    for page in pages:
        yield f"    {page.name}) _arguments -s -S \\"
        for option in page.options:
            yield f"        {_zsh_option(option)} \\"
        yield f"        {_zsh_words(page)} ;;"
    yield from ("    esac", "}", 'compdef _crabcan crabcan 2>/dev/null')  # fmt: skip


def _zsh_option(option: Option) -> str:
    names = option.names
    text = option.help.splitlines()[0].translate(str.maketrans("[]:'", "()  "))
    value = ""
    if option.metavar and not option.optional:
        value = f":{option.metavar.partition(' ')[0].replace(':', ' ')}:{_zsh_value(option)}"
    spelled = "{" + ",".join(names) + "}" if len(names) > 1 else names[0]
    return f"'*'{spelled}" + shlex.quote(f"[{text}]{value}")


def _zsh_value(option: Option) -> str:
    if values := reference.choices(option):
        return f"({' '.join(values)})"
    if option.metavar == "DIR":
        return "_files -/"
    return "_files" if reference.takes_file(option) else ""


def _zsh_words(page: Page) -> str:
    if page.words == COMMAND:
        return "'*::command: _normal'"
    if page.words in LISTS:
        return f"'*:container:($({LISTS[page.words]} 2>/dev/null))'"
    return ""


def _fish(pages: list[Page]) -> Iterator[str]:
    yield "# fish completion for crabcan"
    yield "complete -c crabcan -f"
    for page in pages:
        brief = shlex.quote(page.brief)
        yield f"complete -c crabcan -n __fish_use_subcommand -a {page.name} -d {brief}"
        seen = f"-n '__fish_seen_subcommand_from {page.name}'"
        for option in page.options:
            yield f"complete -c crabcan {seen} {_fish_option(option)}"
        if page.words == COMMAND:
            yield f"complete -c crabcan {seen} -xa '(__fish_complete_subcommand)'"
        elif page.words in LISTS:
            yield f"complete -c crabcan {seen} -xa '({LISTS[page.words]} 2>/dev/null)'"


def _fish_option(option: Option) -> str:
    words = []
    for name in option.names:
        words += ["-l", name[2:]] if name.startswith("--") else ["-s", name[1:]]
    words += ["-d", shlex.quote(option.help.splitlines()[0])]
    if option.metavar and not option.optional:
        if values := reference.choices(option):
            words += ["-xa", shlex.quote(" ".join(values))]
        else:
            words.append("-rF" if reference.takes_file(option) else "-x")
    return " ".join(words)


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
