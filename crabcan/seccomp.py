"""The system call filter (seccomp(2)): from names to a finished program.

The default one is compiled when the package is built and read from a file: libseccomp takes
several times as long as a launch.
"""

from __future__ import annotations

import os
import stat

from crabcan.errors import Error, invalid

TYPE_CHECKING = False  # importing typing takes longer than a launch
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from crabcan import syscalls

Comparison = tuple[int, int, int, int]
Rule = tuple[str, int, tuple[Comparison, ...]]

# Which other architectures the kernel runs beside the native one; x32 is refused as a whole.
ARCHITECTURES = {"x86_64": ("x86",), "aarch64": ("arm",)}

# Without these the command could not start, or not end.
_NEEDED = frozenset({"execve", "exit", "exit_group"})

_ENOSYS, _EPERM = 38, 1
MAX_PROFILE = 4 << 20

_known: dict[object, bytes] = {}


def compile_filter(
    profile: str = "default",
    allow: Sequence[str] = (),
    deny: Sequence[str] = (),
    capabilities: Sequence[str] = (),
) -> bytes:
    """The program for a container; empty where nothing is filtered.

    Args:
        profile: ``"default"``, ``"off"``, or the path of a JSON file in the form of the OCI runtime
            specification, or of Docker's and Podman's profiles.
        allow: names of calls to allow besides, whatever their arguments.
        deny: names of calls to refuse besides, with EPERM.
        capabilities: those that are kept; they allow what they are good for.

    Raises:
        ArgumentInvalid: an unknown name, with the closest one; a profile that says something else
            than such profiles do, with the place.

    """
    key = (profile, tuple(allow), tuple(deny), tuple(capabilities), _identity(profile))
    found = _known.get(key)
    if found is None:
        found = _known[key] = _compile(profile, allow, deny, capabilities)
    return found


def _identity(profile: str) -> object:
    """What changes when the profile's file does."""
    if profile in ("default", "off"):
        return None
    try:
        st = os.stat(profile)
    except OSError as error:
        raise invalid("seccomp", profile, f"it cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(st.st_mode):
        raise invalid("seccomp", profile, "give a regular file")
    return st.st_dev, st.st_ino, st.st_mtime_ns, st.st_size


def _compile(
    profile: str, allow: Sequence[str], deny: Sequence[str], capabilities: Sequence[str]
) -> bytes:
    if profile == "default" and not (allow or deny or capabilities):
        built = _built()
        if built is not None:
            return built
    _check_names(allow, deny)
    from crabcan import bpf

    if profile == "off":
        return bpf.compact(_refusing(deny)) if deny else b""
    if profile == "default":
        return compile_default(allow, deny, capabilities)
    return bpf.compact(_refusing_behind(deny), _of_file(profile, allow, deny, capabilities))


def _check_names(allow: Sequence[str], deny: Sequence[str]) -> None:
    from crabcan import _policy

    for field, names in (("allow_syscalls", allow), ("deny_syscalls", deny)):
        for name in names:
            if not _policy.knows_syscall(name):
                raise _unknown(field, name)
    for name in deny:
        if name in _NEEDED:
            raise invalid("deny_syscalls", name, "the command could not start, or not end")
        if name in allow:
            raise invalid("deny_syscalls", name, "it is in allow_syscalls as well")


def _unknown(field: str, name: str) -> Error:
    from crabcan import _check, syscalls

    known = {*syscalls.ALLOWED.split(), *syscalls.REFUSED, "clone3", "openat2", "personality"}
    return _check.unknown(field, name, known)


def _refusing(deny: Sequence[str]) -> bytes:
    from crabcan import _policy

    rules = tuple((name, _policy.ERRNO | _EPERM, ()) for name in deny)
    return _run_libseccomp(_policy.ALLOW, _architectures(), rules)


def _refusing_behind(deny: Sequence[str]) -> bytes:
    """What a list that allows socketcall or ipc as a whole would let through."""
    from crabcan import syscalls

    behind = [name for name in deny if name in syscalls.MULTIPLEXED]
    return _refusing(behind) if behind else b""


def _built_path() -> str:
    machine = os.uname().machine
    return os.path.join(os.path.dirname(__file__), f"_filter_{machine}.bin")


def _built() -> bytes | None:
    """The default filter as the package was built with it; None in a tree that was not."""
    try:
        with open(_built_path(), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def compile_default(
    allow: Sequence[str] = (), deny: Sequence[str] = (), capabilities: Sequence[str] = ()
) -> bytes:
    """The default filter, widened and narrowed by name."""
    from crabcan import _policy, bpf, syscalls

    names, refused = default_names(allow, deny, capabilities)
    eperm = _policy.ERRNO | _EPERM
    rules: list[Rule] = [(name, _policy.ALLOW, ()) for name in sorted(names)]
    rules += [(name, eperm, ()) for name in sorted(refused)]
    if "personality" not in {*names, *refused}:
        rules += [
            ("personality", _policy.ALLOW, ((0, _policy.EQ, value, 0),))
            for value in syscalls.PERSONALITIES
        ]
    behind = tuple((name, eperm, ()) for name in deny if name in syscalls.MULTIPLEXED)
    checks = tuple(
        (name, eperm, tuple((arg, _policy.MASKED_EQ, mask, value) for arg, mask, value in compared))
        for name, compared in default_checks(allow, capabilities)
    )
    others = _architectures()
    # libseccomp takes one rule for a call by itself or by its arguments, not both.
    return bpf.compact(
        _run_libseccomp(_policy.ALLOW, others, (*checks, *behind)),
        _run_libseccomp(_policy.ERRNO | _ENOSYS, others, tuple(_known_rules(rules))),
    )


def default_names(
    allow: Sequence[str] = (), deny: Sequence[str] = (), capabilities: Sequence[str] = ()
) -> tuple[set[str], set[str]]:
    """The calls that the default filters allow, and those that they refuse with EPERM."""
    from crabcan import syscalls

    names = {*syscalls.ALLOWED.split(), *allow}
    for capability in capabilities:
        names.update(syscalls.BY_CAPABILITY.get(capability, "").split())
    names -= set(deny)
    return names, {*syscalls.REFUSED, *deny} - names


def default_checks(
    allow: Sequence[str] = (), capabilities: Sequence[str] = ()
) -> list[syscalls.Refusal]:
    """What the default filters refuse by arguments; a call that was allowed by name is not."""
    from crabcan import syscalls

    unchecked = set(allow) | ({"clone"} if "sys_admin" in capabilities else set())
    return [check for check in syscalls.refusals() if check[0] not in unchecked]


def _known_rules(rules: Sequence[Rule]) -> list[Rule]:
    """Without the names that are newer than libseccomp: ENOSYS is their answer anyway."""
    from crabcan import _policy

    return [rule for rule in rules if _policy.knows_syscall(rule[0])]


def _architectures() -> tuple[str, ...]:
    return ARCHITECTURES.get(os.uname().machine, ())


def _run_libseccomp(
    default_action: int, architectures: tuple[str, ...], rules: tuple[Rule, ...]
) -> bytes:
    from crabcan import _policy

    try:
        return _policy.compile_seccomp(default_action, architectures, rules)
    except OSError as error:
        index = int(error.args[1])
        about = rules[index][0] if index < len(rules) else "the filter"
        text = os.strerror(int(error.args[0]))
        raise invalid("seccomp", about, f"libseccomp refuses it: {text}") from None


# Profiles in a file. Docker's form and that of the OCI runtime specification differ in how they
# name architectures, and in what Docker adds to choose between rules.

_DOCKER_ARCHITECTURES = {"x86_64": ("amd64", "x86", "x32"), "aarch64": ("arm64", "arm")}
_OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")


def _of_file(
    path: str, allow: Sequence[str], deny: Sequence[str], capabilities: Sequence[str]
) -> bytes:
    from crabcan import _policy

    profile = _load(path)
    place = f"seccomp {path}"
    default = _action(profile, "defaultAction", "defaultErrnoRet", place)
    rules: list[Rule] = []
    for i, entry in enumerate(_list(profile, "syscalls", place)):
        where = f"{place}: syscalls[{i}]"
        if not isinstance(entry, dict):
            raise invalid(where, entry, "give an object with names and action")
        if _applies(entry, capabilities, where):
            rules += _rules_of(entry, where)
    changed = {*allow, *deny}
    rules = [rule for rule in rules if rule[0] not in changed and rule[1] != default]
    rules += [(name, _policy.ALLOW, ()) for name in allow if default != _policy.ALLOW]
    rules += [(name, _policy.ERRNO | _EPERM, ()) for name in deny
              if default != _policy.ERRNO | _EPERM]  # fmt: skip
    others = _architectures_of(profile, place)
    return _run_libseccomp(default, others, tuple(_known_rules(rules)))


def _load(path: str) -> Mapping[str, Any]:
    import json

    try:
        with open(path, "rb") as file:
            text = file.read(MAX_PROFILE)
    except OSError as error:
        raise invalid("seccomp", path, f"it cannot be read: {error.strerror}") from None
    try:
        profile = json.loads(text)
    except ValueError as error:
        raise invalid("seccomp", path, f"it is no JSON: {error}") from None
    # The runtime specification's config.json has it as linux.seccomp.
    if isinstance(profile, dict) and isinstance(profile.get("linux"), dict):
        profile = profile["linux"].get("seccomp")
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise invalid("seccomp", path, "it has no defaultAction: give a profile as Docker's")
    return profile


def _list(entry: Mapping[str, Any], key: str, place: str) -> Sequence[Any]:
    value = entry.get(key) or []
    if not isinstance(value, list):
        raise invalid(f"{place}: {key}", value, "give a list")
    return value


def _strings(entry: Mapping[str, Any], key: str, place: str) -> Sequence[str]:
    value = _list(entry, key, place)
    if not all(isinstance(word, str) for word in value):
        raise invalid(f"{place}: {key}", value, "give a list of strings")
    return value


def _action(entry: Mapping[str, Any], key: str, errno_key: str, place: str) -> int:
    from crabcan import _policy

    errno = entry.get(errno_key, _EPERM)
    if isinstance(errno, bool) or not isinstance(errno, int) or not 0 <= errno < 4096:
        raise invalid(f"{place}: {errno_key}", errno, "give an errno's number")
    actions = {
        "SCMP_ACT_ALLOW": _policy.ALLOW,
        "SCMP_ACT_ERRNO": _policy.ERRNO | errno,
        "SCMP_ACT_KILL": _policy.KILL_THREAD,
        "SCMP_ACT_KILL_THREAD": _policy.KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS": _policy.KILL_PROCESS,
        "SCMP_ACT_TRAP": _policy.TRAP,
        "SCMP_ACT_LOG": _policy.LOG,
    }
    name = entry.get(key)
    if name in ("SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"):
        raise invalid(f"{place}: {key}", name, "there is nobody here to be asked: give an errno")
    if not isinstance(name, str) or name not in actions:
        raise invalid(f"{place}: {key}", name, f"give one of {', '.join(actions)}")
    return int(actions[name])


def _applies(entry: Mapping[str, Any], capabilities: Sequence[str], place: str) -> bool:
    """Docker's includes and excludes."""
    return _matches(entry, "includes", capabilities, place) and not _matches(
        entry, "excludes", capabilities, place
    )


def _matches(entry: Mapping[str, Any], key: str, capabilities: Sequence[str], place: str) -> bool:
    """Includes need all that they name; excludes are met by any."""
    condition, empty = entry.get(key) or {}, key == "includes"
    where = f"{place}: {key}"
    if not isinstance(condition, dict):
        raise invalid(where, condition, "give an object")
    if not any(condition.values()):
        return empty
    answers = []
    kept = {f"CAP_{name.upper()}" for name in capabilities}
    for name in _strings(condition, "caps", where):
        answers.append(name in kept)
    arches = _strings(condition, "arches", where)
    if arches:
        ours = _DOCKER_ARCHITECTURES.get(os.uname().machine, ())
        answers.append(any(name in ours for name in arches))
    minimal = condition.get("minKernel")
    if minimal:
        release = os.uname().release.replace("-", ".").split(".")
        answers.append(_numbers(release[:2]) >= _numbers(str(minimal).split(".")[:2]))
    return all(answers) if empty else any(answers)


# The runtime specification's names of what a kernel of ours can run, in libseccomp's.
_TOKENS = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X86": "x86",
    "SCMP_ARCH_X32": "x32",
    "SCMP_ARCH_AARCH64": "aarch64",
    "SCMP_ARCH_ARM": "arm",
}


def _architectures_of(profile: Mapping[str, Any], place: str) -> tuple[str, ...]:
    """Those that the profile lists beside ours: calls of any other are refused."""
    ours = os.uname().machine
    listed = [*_strings(profile, "architectures", place)]
    for entry in _list(profile, "archMap", place):
        if not isinstance(entry, dict):
            raise invalid(f"{place}: archMap", entry, "give objects")
        if _TOKENS.get(str(entry.get("architecture"))) == ours:
            listed += _strings(entry, "subArchitectures", place)
    return tuple(_TOKENS[name] for name in listed if name in _TOKENS and _TOKENS[name] != ours)


def _numbers(parts: Sequence[str]) -> tuple[int, ...]:
    return tuple(int(part) for part in parts if part.isdecimal())


def _rules_of(entry: Mapping[str, Any], where: str) -> list[Rule]:
    action = _action(entry, "action", "errnoRet", where)
    single = [entry["name"]] if entry.get("name") else []
    names = _strings({"names": entry.get("names") or single}, "names", where)
    compared = tuple(
        _comparison(arg, f"{where}: args[{i}]") for i, arg in enumerate(_list(entry, "args", where))
    )
    arguments = [c[0] for c in compared]
    if len(set(arguments)) < len(arguments):  # libseccomp takes one for each: any of them does
        return [(name, action, (one,)) for name in names for one in compared]
    return [(name, action, compared) for name in names]


def _comparison(arg: object, where: str) -> Comparison:
    from crabcan import _policy

    operators = {f"SCMP_CMP_{name}": getattr(_policy, name) for name in _OPERATORS}
    if not isinstance(arg, dict):
        raise invalid(where, arg, "give an object with index, value and op")
    if str(arg.get("op")) not in operators:
        raise invalid(f"{where}: op", arg.get("op"), f"give one of {', '.join(operators)}")
    numbers = [arg.get(key, 0) for key in ("index", "value", "valueTwo")]
    for key, number in zip(("index", "value", "valueTwo"), numbers, strict=True):
        high = 5 if key == "index" else 2**64 - 1
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= high:
            raise invalid(f"{where}: {key}", number, f"give a number from 0 to {high}")
    return numbers[0], operators[arg["op"]], numbers[1], numbers[2]
