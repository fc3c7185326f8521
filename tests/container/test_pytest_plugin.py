"""The pytest plugin: its fixtures, its marker, and what a failure tells."""

from __future__ import annotations

import pytest


def run(pytester: pytest.Pytester, text: str, *options: str) -> pytest.RunResult:
    """A session of its own, in a process of its own, with the plugin by its entry point."""
    pytester.makepyfile(text)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)


def test_fixtures(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        r"""
        import os, crabcan

        def test_run(crabcan_run):
            done = crabcan_run(["sh", "-c", "echo out; echo err >&2; echo $$"])
            assert (done.stdout, done.stderr) == ("out\n2\n", "err\n")
            assert crabcan_run(["cat"], input=b"x", text=False).stdout == b"x"
            assert crabcan_run(["echo"], stdout=crabcan.DEVNULL).stdout is None

        pids = []

        def test_container(container):
            first = container(["sh", "-c", 'printf "\\001" >&$CRABCAN_CHANNEL_FD; sleep 100'])
            assert first.recv_bool(timeout=10)
            pids.append(first.child_pid)
            second = container(["true"], hostname="moon")
            assert second.wait() == 0
            assert container(["tty"], tty=True).terminal.read() == b"/dev/pts/0\r\n"

        def test_it_is_killed_when_the_test_is_over():
            assert not os.path.exists(f"/proc/{pids[0]}")
        """,
    )
    result.assert_outcomes(passed=3)


def test_options_for_all(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import os, pytest

        @pytest.fixture
        def crabcan_options():
            return {"hostname": "moon"}

        def test_run(crabcan_run):
            assert crabcan_run(["hostname"]).stdout == "moon\\n"
            assert crabcan_run(["hostname"], hostname="sun").stdout == "sun\\n"

        @pytest.mark.crabcan
        def test_inside():
            assert os.uname().nodename == "moon"
        """,
    )
    result.assert_outcomes(passed=2)


def test_marker(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import os, pytest
        import crabcan

        OUTSIDE = os.getpid()
        pytestmark = pytest.mark.crabcan(hostname="sun", limits=crabcan.Limits(pids=50))

        def helper():
            return 7

        @pytest.fixture
        def number():
            return OUTSIDE

        @pytest.mark.crabcan(hostname="moon")
        def test_inside(number, tmp_path):
            assert os.getpid() == 2 != number
            assert os.uname().nodename == "moon"
            assert helper() == 7
            (tmp_path / "made").write_text("inside")
            assert not os.path.exists(os.path.expanduser("~/.ssh"))

        class TestMethods:
            @pytest.mark.parametrize("word", ["a", "b"])
            def test_method(self, word):
                assert os.uname().nodename == "sun"
                assert word in "ab"

        def test_skipped():
            pytest.skip("for a reason")

        def test_xfailed():
            pytest.xfail("known")

        def test_raises():
            with pytest.raises(ZeroDivisionError):
                1 / 0
        """,
        "-rsx",
    )
    result.assert_outcomes(passed=4, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["SKIPPED*for a reason", "XFAIL*"])
    made = list(pytester.path.rglob("made"))
    assert [path.read_text() for path in made] == ["inside"]


def test_failure_inside_tells_what_happened(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import os, pytest

        @pytest.mark.crabcan
        def test_wrong():
            print("printed \\x1b[31m inside")
            number = 41
            assert number + 1 == 43

        @pytest.mark.crabcan
        def test_dies():
            os._exit(9)

        @pytest.mark.crabcan
        def test_not_sendable(request):
            pass
        """,
    )
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "*_ test_wrong _*",
            "*in test_wrong*",
            "*AssertionError: assert (41 + 1) == 43*",
            "*- crabcan container -*",
            "ended: exit code 0",
            "stderr:",
            r"printed \x1b?31m inside",
            "*_ test_dies _*",
            "CallDied: the call ended with exit code 9*",
            "*_ test_not_sendable _*",
            "a fixture cannot go into a container: *",
        ]
    )
    assert "\x1b[31m inside" not in result.stdout.str()


def test_failure_tells_of_the_containers(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import crabcan

        def test_run(crabcan_run):
            limits = crabcan.Limits(wall_time=0.2)
            crabcan_run(["sh", "-c", "echo before; echo why >&2; sleep 100"], limits=limits)
            crabcan_run(["true"])
            assert False

        def test_raised(crabcan_run):
            crabcan_run(["sh", "-c", "echo partial; sleep 100"], timeout=0.2)

        def test_container(container):
            made = container(["sh", "-c", "echo said; exit 4"])
            assert made.wait() == 0

        def test_running(container):
            container(["sleep", "100"])
            assert False
        """,
    )
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "*_ test_run _*",
            "*- crabcan container -*",
            "command: ['sh', '-c', 'echo before; *",
            "ended: signal 9",
            "limits reached: time",
            "used: 0.* s, * s of CPU time",
            "stdout:",
            "before",
            "stderr:",
            "why",
            "*- crabcan container -*",
            "command: ['true']",
            "ended: exit code 0",
            "*_ test_raised _*",
            "ended: TimeoutExpired: *",
            "stdout:",
            "partial",
            "*_ test_container _*",
            "ended: exit code 4",
            "stdout:",
            "said",
            "*_ test_running _*",
            "ended: not yet",
        ]
    )


def test_wrong_use(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.crabcan(hostnam="moon")
        def test_misspelt():
            pass

        @pytest.mark.crabcan("moon")
        def test_positional():
            pass

        @pytest.mark.crabcan
        async def test_coroutine():
            pass
        """,
    )
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*did you mean 'hostname'*", "*by name only*", "*async*"])


def test_it_is_listed_and_imports_nothing_early(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import sys

        def test_modules():
            assert "crabcan.pytest_plugin" in sys.modules
            assert "crabcan.container" not in sys.modules
            assert "cloudpickle" not in sys.modules
        """,
        "--markers",
    )
    result.stdout.fnmatch_lines(["@pytest.mark.crabcan(?*options): run the whole test function*"])
    assert pytester.runpytest_subprocess("-p", "no:cacheprovider").ret == 0
