"""Builds the init program, and then the extension that carries it."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wconversion",
    "-Wformat=2",
    "-Wvla",
]
if os.environ.get("CRABCAN_WERROR") == "1":
    WARNINGS.append("-Werror")

COMMON = ["-std=c11", "-D_GNU_SOURCE", *WARNINGS]
# CPython's own flags carry -DNDEBUG; _FORTIFY_SOURCE must be undefined before it is set anew.
HARDENING = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"]
LINK_HARDENING = ["-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,noexecstack"]

# For `make sanitize`: the extension under the address and undefined-behaviour sanitizers, and init,
# static and without their run-time library, ended by a trap where behaviour is undefined.
SANITIZE = os.environ.get("CRABCAN_SANITIZE") == "1"
EXTENSION_SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                        "-fno-omit-frame-pointer"] if SANITIZE else []  # fmt: skip
INIT_SANITIZERS = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"] if SANITIZE else []
if SANITIZE:
    HARDENING, LINK_HARDENING = [], []  # a stack that is fortified is a sanitizer's no more

# A free-threaded build has no stable ABI before Python 3.15.
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")


def init_compiler() -> list[str]:
    """The compiler for the static init: musl's where there is one.

    With glibc the same program is 19 times as large, and each launch executes it anew.
    """
    chosen = os.environ.get("CRABCAN_INIT_CC")
    if chosen:
        return chosen.split()
    if not shutil.which("musl-gcc"):
        return [os.environ.get("CC", "cc").split()[0]]
    # musl-gcc hides the kernel's headers together with glibc's: give them last.
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    return [
        "musl-gcc",
        "-idirafter",
        "/usr/include",
        "-idirafter",
        f"/usr/include/{multiarch}",
    ]


class BuildExtension(build_ext):
    """Compiles crabcan-init first and gives its path to the extension."""

    def build_extensions(self) -> None:
        """Build the init program, then the extension."""
        Path(self.build_temp).mkdir(parents=True, exist_ok=True)
        init = Path(self.build_temp).resolve() / "crabcan-init"
        sources = sorted(str(path) for path in Path("csrc/init").glob("*.c"))
        command = [
            *init_compiler(),
            *COMMON,
            "-Os",
            "-static",
            "-fno-pie",
            "-no-pie",
            "-s",
            *LINK_HARDENING,
            *INIT_SANITIZERS,
            *sources,
            "-o",
            str(init),
        ]
        print(" ".join(command), flush=True)
        subprocess.run(command, check=True)
        for extension in self.extensions:
            extension.define_macros.append(("CRABCAN_INIT_PATH", f'"{init}"'))
        super().build_extensions()
        self.build_default_filter()

    def build_default_filter(self) -> None:
        """Compile the default system call filter: at run time it would cost several launches."""
        package = Path(self.build_lib).resolve() / "crabcan"
        if not (package / "seccomp.py").exists():  # an editable install: compiled at run time
            return
        script = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from crabcan import seccomp\n"
            "open(sys.argv[2], 'wb').write(seccomp.compile_default())\n"
        )
        target = package / f"_filter_{os.uname().machine}.bin"
        command = [sys.executable, "-P", "-c", script, str(package.parent), str(target)]
        subprocess.run(command, check=True)


POLICY_BINDING = "csrc/python/policy_module.c"


def sources_of(*folders: str) -> list[str]:
    """The C files of the folders, without the other module's binding."""
    files = (path for folder in folders for path in Path(folder).glob("*.c"))
    return sorted(str(path) for path in files if str(path) != POLICY_BINDING)


def extension(name: str, sources: list[str], libraries: list[str]) -> Extension:
    """An extension with everything that the two have in common."""
    return Extension(
        name,
        sources=sources,
        depends=[*HEADERS, *INIT_SOURCES],
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED_API else [],
        libraries=libraries,
        extra_compile_args=[*COMMON, "-fvisibility=hidden", *HARDENING, *EXTENSION_SANITIZERS],
        extra_link_args=[*LINK_HARDENING, *EXTENSION_SANITIZERS],
        py_limited_api=LIMITED_API,
    )


HEADERS = sorted(str(path) for path in Path("csrc").glob("**/*.h"))
INIT_SOURCES = sorted(str(path) for path in Path("csrc/init").glob("*.c"))

setup(
    ext_modules=[
        extension("crabcan._core", sources_of("csrc/host", "csrc/python"), []),
        extension(
            "crabcan._policy", [*sources_of("csrc/policy"), POLICY_BINDING], ["seccomp", "cap"]
        ),
    ],
    cmdclass={"build_ext": BuildExtension},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
)
