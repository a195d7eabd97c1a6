"""What a project means, checked before anything starts: names, references, limits and their arithmetic.

Pure: a Project (and the machine's memory) in, findings out. Whether user code imports is tried elsewhere, in a process
of its own.
"""

from __future__ import annotations

import ntpath
import posixpath
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from millrace.broker import DEAD_SUFFIX
from millrace.config.circles import circles
from millrace.config.endpoint import check_endpoint
from millrace.config.events import BucketEvent, HttpEvent, QueueEvent, ScheduleEvent, TableEvent
from millrace.config.faults import nearest, one_of
from millrace.config.findings import Finding, Path, known
from millrace.config.limits import check_limits
from millrace.config.mappings import check_mappings
from millrace.config.names import queue_names
from millrace.config.routes import check_routes
from millrace.config.schema import BUCKET_SCHEMES, FunctionConfig, Project, Sink
from millrace.config.templates import KEY_FIELDS, names_every_message, problem, split
from millrace.cron import parse
from millrace.errors import ConfigError

KINDS = {"model": "app.PetClassifier", "handler": "jobs.refresh", "wsgi": "app.app"}
FIFO_SUFFIX = ".fifo"
_LONGEST = 80
_PLAIN = f"letters, digits, - and _, at most {_LONGEST}"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_TOPIC_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_DOTTED_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


def check(project: Project, machine_bytes: int | None = None, *, complete: bool = True) -> list[Finding]:
    """Everything wrong or doubtful; `machine_bytes` is the memory that replicas may share, None to skip that sum.

    A project that is not `complete`, faulty settings having been replaced by defaults, has its limits not compared.
    """
    found = [*_check_names(project), *_check_buckets(project)]
    for name, function in project.functions.items():
        found += _check_function(project, name, function)
    found += check_routes(project)
    found += check_mappings(project)
    found += check_endpoint(project.aws)
    found += check_limits(project, machine_bytes) if complete else []
    found += circles(project)
    tables_elsewhere = any(table.url for table in project.tables.values())
    if project.broker or project.database or project.bodies or tables_elsewhere:
        from millrace.config.fleet import check_fleet  # most projects need none of it, and start the sooner

        found += check_fleet(project)
    return found


def is_below(folder: str) -> bool:
    """Whether a relative path leads to the project's folder or one below it."""
    inside = posixpath.normpath(folder.replace("\\", "/"))
    return not (inside.startswith(("/", "../")) or inside == ".." or ntpath.splitdrive(folder)[0] or "\0" in folder)


def _check_names(project: Project) -> Iterator[Finding]:
    for section in ("queues", "tables", "buckets", "topics", "functions", "stages"):
        for name in getattr(project, section):
            path: Path = (section, name)
            if name.endswith(DEAD_SUFFIX):
                yield Finding(path, f"the name {name!r} is taken: {DEAD_SUFFIX} marks dead letters", at_key=True)
            elif expected := _name_problem(project, section, name):
                yield Finding(path, "a name that millrace cannot use", expected, repr(name), at_key=True)


def _name_problem(project: Project, section: str, name: str) -> str:
    """What a name of that section may be, empty when it is that: AWS's own rules, since its projects' names stay."""
    if section in ("tables", "buckets"):
        return "" if _DOTTED_NAME.fullmatch(name) else "letters, digits, -, _ and ., at most 255"
    if section in ("queues", "topics") and name.endswith(FIFO_SUFFIX):
        if not getattr(project, section)[name].fifo:
            return f"{FIFO_SUFFIX} at the end of {section} with `fifo: true` alone"
        return "" if _NAME.fullmatch(name.removesuffix(FIFO_SUFFIX)) and len(name) <= _LONGEST else _PLAIN
    if section == "topics":
        return "" if _TOPIC_NAME.fullmatch(name) else "letters, digits, - and _, at most 256"
    return "" if _NAME.fullmatch(name) else _PLAIN


def _check_buckets(project: Project) -> Iterator[Finding]:
    for name, bucket in project.buckets.items():
        scheme, separator, _ = bucket.url.partition("://")
        if separator and scheme.lower() not in BUCKET_SCHEMES:
            expected = f"a folder, or a URL of {one_of(BUCKET_SCHEMES)}"
            yield Finding(("buckets", name, "url"), "unknown kind of bucket", expected, repr(bucket.url))
        elif _holds_state(project, bucket.url):
            what = "the folder holds millrace's own files, its queue and keys among them"
            yield Finding(("buckets", name, "url"), what, "a folder of its own, such as ./lake", repr(bucket.url))


def _holds_state(project: Project, url: str) -> bool:
    """Whether a bucket is the state folder or one above it: whoever may read its objects would read that."""
    folder = posixpath.normpath(posixpath.join(project.root.as_posix(), url))
    return "://" not in url and PurePosixPath(project.state.as_posix()).is_relative_to(folder)


def _check_function(project: Project, name: str, function: FunctionConfig) -> Iterator[Finding]:
    path: Path = ("functions", name)
    yield from _check_target(project, name, function, path)
    yield from _check_events(project, name, function)
    yield from _check_results(project, name, function)
    for index, sink in enumerate(function.to):
        yield from _check_sink(project, sink, (*path, "to", index))
    if function.root is not None and not is_below(function.root):
        yield Finding((*path, "root"), f"functions.{name}.root", "a folder below the project's", repr(function.root))
    for kind in set(function.retry_on) & set(function.dead_on):
        what = f"{kind} stands under retry_on and under dead_on"
        yield Finding((*path, "dead_on", function.dead_on.index(kind)), what, "it under one of them")
    called = function.asynchronous is not None  # as on AWS: by Lambda's Invoke, so that it needs no events
    if not function.events and not called and project.inbox(name) not in _sinks_into(project):
        what = f"functions.{name} has no events"
        hint = "`events:` (`millrace invoke` and `millrace send` reach it all the same)"
        yield Finding(path, what, hint, severity="warning", at_key=True)


def _check_results(project: Project, name: str, function: FunctionConfig) -> Iterator[Finding]:
    """A handler answers an invocation, not a message, so not every trigger gives `to:` something to write."""
    if function.kind == "model" or not function.to:
        return
    records = any(isinstance(event, QueueEvent | TableEvent) for event in function.events)
    path: Path = ("functions", name, "to")
    if records or project.inbox(name) in _sinks_into(project):
        what = (
            f"functions.{name} gets messages as Records, which have no result of their own: `to:` writes null for each"
        )
        hint = "the handler to write what it makes, or a `model:`"
        yield Finding(path, what, hint, severity="warning", at_key=True)
    elif function.events and all(isinstance(event, HttpEvent) for event in function.events):
        what = (
            f"functions.{name} is a handler with http events alone, whose answers go to the caller and never to `to:`"
        )
        hint = "no `to:`, or a `model:`, whose results go to both"
        yield Finding(path, what, hint, severity="warning", at_key=True)


def _sinks_into(project: Project) -> set[str]:
    return {sink.queue for function in project.functions.values() for sink in function.to if sink.queue}


def _check_target(project: Project, name: str, function: FunctionConfig, path: Path) -> Iterator[Finding]:
    targets = {kind: value for kind in KINDS if (value := getattr(function, kind)) is not None}
    if len(targets) != 1:
        near = nearest(name, [other for other in project.functions if other != name]) if not targets else ""
        got = " and ".join(targets) or "neither"
        expected = f"exactly one of {', '.join(KINDS)}"
        yield Finding(path, f"functions.{name}", expected, got, near, at_key=True, absent=not targets)
    for kind, target in targets.items():
        parts = (target.replace("/", ".") if kind == "handler" else target).split(".")
        if len(parts) < 2 or "/" in target.rpartition(".")[2] or not all(part.isidentifier() for part in parts):
            expected, near = f"module.name such as {KINDS[kind]}", _dotted(target)
            yield Finding((*path, kind), f"functions.{name}.{kind}", expected, repr(target), near)


def _dotted(target: str) -> str:
    """What `app.py:handler`, `app:handler` and `app/handler` mean, quoted; empty where that is none either."""
    parts = re.split(r"[:/.]+", target.replace(".py", "", 1))
    return repr(".".join(parts)) if len(parts) > 1 and all(part.isidentifier() for part in parts) else ""


def _check_events(project: Project, name: str, function: FunctionConfig) -> Iterator[Finding]:
    for index, event in enumerate(function.events):
        path: Path = ("functions", name, "events", index)
        if isinstance(event, QueueEvent):
            yield from _check_queue_event(project, event.queue, (*path, "queue"))
        elif isinstance(event, TableEvent):
            yield from known("table", event.table, project.tables, (*path, "table"))
        elif isinstance(event, ScheduleEvent):
            yield from _check_rule(event.schedule, (*path, "schedule"))
        elif isinstance(event, BucketEvent):
            yield from known("bucket", split(event.bucket)[0], project.buckets, (*path, "bucket"))
    if project.inbox(name) != name or name in _queues_named(project, name):
        return
    sharers = [other for other in project.functions if other != name and name in _queues_named(project, other)]
    if sharers:
        what = f"the queue {name!r} is the inbox of functions.{name}, and functions.{sharers[0]} takes from it too"
        yield Finding(("functions", name), what, "another name for the function or the queue", at_key=True)


def _check_rule(rule: str, path: Path) -> Iterator[Finding]:
    try:
        parse(rule)
    except ConfigError as error:
        yield Finding(path, error.problem)


def _queues_named(project: Project, function: str) -> set[str]:
    return {event.queue for event in project.functions[function].events if isinstance(event, QueueEvent)}


def _check_queue_event(project: Project, queue: str, path: Path) -> Iterator[Finding]:
    if queue.endswith(DEAD_SUFFIX):
        yield Finding(
            path, "dead letters trigger no function", f"a queue (see `millrace dead list {queue[:-5]}`)", queue
        )
    else:
        yield from known("queue", queue, project.queues, path)


def _check_sink(project: Project, sink: Sink, path: Path) -> Iterator[Finding]:
    keys = [key for key in Sink.model_fields if getattr(sink, key) is not None]
    if len(keys) != 1:
        expected = "exactly one of " + ", ".join(Sink.model_fields)
        yield Finding(path, "a sink", expected, " and ".join(keys) or "none", absent=not keys)
    if sink.table is not None:
        yield from known("table", sink.table, project.tables, (*path, "table"))
    if sink.queue is not None:
        yield from known("queue", sink.queue, queue_names(project), (*path, "queue"))
    if sink.bucket is not None:
        yield from _check_object(project, sink.bucket, (*path, "bucket"))
    if sink.webhook is not None:
        parts = urlsplit(sink.webhook)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            yield Finding((*path, "webhook"), "a webhook", "an http:// or https:// URL", repr(sink.webhook))


def _check_object(project: Project, target: str, path: Path) -> Iterator[Finding]:
    bucket, template = split(target)
    yield from known("bucket", bucket, project.buckets, path)
    what, expected = problem(template)
    if what:
        yield Finding(path, what, expected or one_of([f"{{{name}}}" for name in KEY_FIELDS]), repr(target))
    elif not names_every_message(template):
        what = "the key template has no {id}, so results overwrite one another"
        yield Finding(path, what, "a template such as {date}/{id}.json", repr(template), severity="warning")
