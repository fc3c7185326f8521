"""Ports to publish."""

from __future__ import annotations

import pytest

import crabcan
from crabcan import pasta


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("8080:80", ("tcp", "", 8080, 80)),
        ("80", ("tcp", "", 80, 80)),
        ("8080:80/tcp", ("tcp", "", 8080, 80)),
        ("53:5353/udp", ("udp", "", 53, 5353)),
        ("127.0.0.1:8080:80", ("tcp", "127.0.0.1", 8080, 80)),
        ("127.0.0.1:8080:80/udp", ("udp", "127.0.0.1", 8080, 80)),
        ("[::1]:65535:1", ("tcp", "::1", 65535, 1)),
    ],
)
def test_forms(value: str, expected: pasta.Publish) -> None:
    assert pasta.parse_publish("publish[0]", value) == expected


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("", "from 1 to 65535"),
        ("8080:80/sctp", "the protocol is tcp or udp"),
        ("8080:80/", "the protocol is tcp or udp"),
        ("0:80", "from 1 to 65535"),
        ("8080:65536", "from 1 to 65535"),
        ("8080:", "from 1 to 65535"),
        ("-1:80", "from 1 to 65535"),
        ("8000-8010:80", "from 1 to 65535"),
        ("٣:80", "from 1 to 65535"),
        ("localhost:8080:80", "numeric address"),
        (":8080:80", "numeric address"),
        ("::1:8080:80", "numeric address"),
        ("[127.0.0.1]:8080:80", "numeric address"),
        ("1.2.3:8080:80", "numeric address"),
        ("[::1%eth0]:8080:80", "numeric address"),
        ("1.2.3.4\0:8080:80", "NUL byte"),
    ],
)
def test_refused(value: str, advice: str) -> None:
    with pytest.raises(crabcan.ArgumentInvalid, match=advice) as caught:
        pasta.parse_publish("publish[3]", value)
    assert str(caught.value).startswith(f"publish[3]: {value!r} is refused - ")


def test_type() -> None:
    with pytest.raises(TypeError, match=r"publish\[0\]: 80 is a int"):
        pasta.parse_publish("publish[0]", 80)  # type: ignore[arg-type]
