"""Why a value of a template cannot be known."""

from __future__ import annotations

from millrace.config.faults import Fault
from millrace.config.tree import Node


class Unresolved(Exception):
    """A value has no meaning: `fault` says why; a value that is only unknown here is a warning."""

    def __init__(self, fault: Fault, stand_in: str = "") -> None:
        super().__init__(fault.what)
        self.fault = fault
        self.stand_in = stand_in


def wrong(at: Node, what: str, expected: str = "", *, near: str = "", got: str | None = None) -> Unresolved:
    """A mistake in the template, at a node of it."""
    return Unresolved(Fault(at.place, what, expected, at.shown if got is None else got, near))


def unknown_here(at: Node, what: str, stand_in: str) -> Unresolved:
    """A value that only AWS knows; `stand_in` is what takes its place, readable enough to be recognised."""
    return Unresolved(Fault(at.place, what, severity="warning"), stand_in)
