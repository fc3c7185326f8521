"""A museum of container escapes: each with its cause, the wall that stops it, and a payload."""

from museum.catalogue import EXHIBITS
from museum.exhibit import Exhibit, Outcome, Stage

__all__ = ["EXHIBITS", "Exhibit", "Outcome", "Stage"]
