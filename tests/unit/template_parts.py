"""What the tests of templates share."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

from millrace.config.faults import Fault
from millrace.formats.cloudformation.stack import Stack
from millrace.formats.cloudformation.surroundings import Surroundings
from millrace.formats.documents import read_document


def stack_of(template: str, faults: list[Fault] | None = None, **parameters: str) -> Stack:
    """A stack of a template's text; where no list for faults is given there must be none."""
    found: list[Fault] = [] if faults is None else faults
    root = read_document(dedent(template).encode(), "t.yaml", found)
    assert root is not None
    assert not found
    return Stack(root, Surroundings(stack="shop", parameters=parameters), found)


def resolved(value: str, rest: str = "", **parameters: str) -> Any:
    """The plain value of an expression in a template; faults fail the test."""
    faults: list[Fault] = []
    stack = stack_of(dedent(rest) + f"\nIt: {value}\n", faults, **parameters)
    found = stack.resolve(stack.template.value["It"]).plain()
    assert not faults, faults
    return found


def troubles(value: str, rest: str = "", **parameters: str) -> list[str]:
    """The faults and warnings that an expression gives."""
    faults: list[Fault] = []
    stack = stack_of(dedent(rest) + f"\nIt: {value}\n", faults, **parameters)
    stack.resolve(stack.template.value["It"])
    return [str(fault) for fault in faults]
