"""The names that a project declares, and what to say to a name that it does not."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from millrace.broker import DEAD_SUFFIX
from millrace.config.schema import Project
from millrace.errors import MillraceError, UnknownQueue


def queue_names(project: Project) -> list[str]:
    """The queues to which one may send: those declared, and the inbox of each function that has no other."""
    inboxes = (name for name in project.functions if project.inbox(name) == name)
    return list(dict.fromkeys([*project.queues, *inboxes]))


def all_queues(project: Project) -> list[str]:
    """Every durable queue of a project, with the functions' own for asynchronous calls and changes of tables."""
    own = (queue for name in project.functions for queue in (project.inbox(name), *project.streams_of(name)))
    return list(dict.fromkeys([*queue_names(project), *own]))


def call_queues(project: Project) -> list[str]:
    """The queues of synchronous calls, which are there where a gateway and a worker have run apart."""
    return [project.calls(name) for name, function in project.functions.items() if function.kind != "model"]


def check_queue(project: Project, name: str) -> str:
    """The name, when it is a queue of the project or its dead letters; raises UnknownQueue.

    With `aws:` queues are made through the API as well: those the broker alone knows, and refuses the rest.
    """
    known = all_queues(project)
    living = name.removesuffix(DEAD_SUFFIX)
    if living in known or living in call_queues(project) or project.aws is not None:
        return name
    raise UnknownQueue(unknown("queue", living, known), "declare it under `queues:` in the project")


def check_function(project: Project, name: str) -> str:
    """The name, when it is a function of the project; raises MillraceError."""
    if name in project.functions:
        return name
    raise MillraceError(unknown("function", name, project.functions), "declare it under `functions:` in the project")


def check_table(project: Project, name: str) -> str:
    """The name, when it is a table of the project; raises MillraceError."""
    if name in project.tables:
        return name
    raise MillraceError(unknown("table", name, project.tables), "declare it under `tables:` in the project")


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """`no queue 'imgaes'; did you mean 'images'?`, or which there are."""
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"no {kind} {name!r}; did you mean {near[0]!r}?"
    there_is = ", ".join(sorted(known)) if known else f"no {kind} at all"
    return f"no {kind} {name!r}; there is {there_is}"
