"""Ranges of ids, from files of subuid(5)'s form."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import crabcan
from crabcan import subids


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files in the place of /etc/subuid and /etc/subgid."""
    uid, gid = tmp_path / "subuid", tmp_path / "subgid"
    uid.write_text(
        "# a comment\nother:1:2\n54321:100000:65536\n54321:300000:10\nbad line\n54321:x:1\n"
        "54321:0:5\n54321:4294967290:100\n"
    )
    gid.write_text("54321:200000:65536\n")
    return {"uid": str(uid), "gid": str(gid)}


def test_ranges(files: dict[str, str]) -> None:
    assert subids.ranges(files["uid"], 54321) == [(100000, 65536), (300000, 10)]
    assert subids.ranges(files["uid"], 1) == []
    assert subids.ranges("/nonexistent", 54321) == []


def test_maps(files: dict[str, str]) -> None:
    uid_map, gid_map = subids.maps(54321, files)
    assert uid_map.splitlines() == ["0 54321 1", "1 100000 65536", "65537 300000 10"]
    assert gid_map.splitlines() == [f"0 {os.getegid()} 1", "1 200000 65536"]


def test_what_is_missing_is_said(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(crabcan.NotSupported, match="no range") as caught:
        subids.maps(7654321, files)
    assert "usermod --add-subuids" in caught.value.advice
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(crabcan.NotSupported, match="newuidmap is not installed") as caught:
        subids.maps(54321, files)
    assert "uidmap" in caught.value.advice


def test_roots_range(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    assert subids.high_range(str(file)) == (subids.HIGH_START, subids.COUNT)
    file.write_text("root:1000:65536\nroot:500000:100\nroot:600000:70000\n")
    assert subids.high_range(str(file)) == (600000, subids.COUNT)
