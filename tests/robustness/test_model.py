"""tests/robustness/model.py in its short form."""

from __future__ import annotations

import model


def test_calls_are_as_the_model_has_them() -> None:
    assert model.play(40) > 400
