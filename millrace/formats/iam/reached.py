"""What of a handler's modules it can come to: a module mostly holds the handlers of several functions.

A definition at the top of a module counts once its name stands in what counts already, whatever it means there. So what
is left out is certain, but for names that are computed; what is kept may still never be called.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

_HANDLER_ARGUMENTS = 2  # event and context


def without_unreached(modules: Iterable[ast.Module], handler: str) -> list[ast.Module]:
    """The same modules less the functions and classes at their top that the handler of that name cannot come to."""
    given = list(modules)
    waiting = {id(each): each for module in given for each in module.body if _waits(each)}
    names = {handler}
    for module in given:
        for each in module.body:
            names.update(_names(each) if id(each) not in waiting else ())
    while reached := [key for key, each in waiting.items() if getattr(each, "name", "") in names]:
        for key in reached:
            names.update(_names(waiting.pop(key)))
    return [ast.Module([each for each in module.body if id(each) not in waiting], []) for module in given]


def _waits(statement: ast.stmt) -> bool:
    """Whether a statement runs only when somebody names what it defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        # A decorator may register what it decorates, as a route does; those of handlers mostly wrap them.
        return not statement.decorator_list or len(statement.args.args) == _HANDLER_ARGUMENTS
    return isinstance(statement, ast.ClassDef) and not statement.decorator_list


def _names(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if alias.asname)
