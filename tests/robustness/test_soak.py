"""tests/robustness/soak.py in its short form: 2,000 containers."""

from __future__ import annotations

import soak


def test_nothing_is_left() -> None:
    """Descriptors, children, mounts, groups, files, keyrings, inits; and memory is flat."""
    assert soak.soak(2000, print) == []
