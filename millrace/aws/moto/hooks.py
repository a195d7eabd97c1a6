"""Where moto is changed: the narrow places through which data changes and through which it sends to others.

Each hook notes in the journal of the running call and lets moto go on. A thread that moto started by itself has no
journal: what it changes is handed to the host at once, and it waits until that is durable.

moto's state is of the process, and so are these; the last `Services` that loaded is the host.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import Any, Protocol

from millrace.aws.moto import bus, topics
from millrace.aws.moto.journal import Journal, current, recording
from millrace.aws.receivers import Receivers


class Host(Protocol):
    """Whoever makes a journal durable."""

    receivers: Receivers

    def note_item(self, journal: Journal, table: Any, attributes: dict[str, Any]) -> None:
        """An item is about to change; `attributes` has at least its key."""

    def note_drop(self, journal: Journal, region: str, table: str) -> None:
        """A table was deleted."""

    def note_object(self, journal: Journal, bucket: str, key: str) -> None:
        """An object was written or removed."""

    def keep_body(self, backend: Any, bucket: str, key: str) -> None:
        """An object is about to get a newer version."""

    def strayed(self, journal: Journal) -> None:
        """Make a journal of no call durable; blocks. Raises MillraceError."""


_host: Host | None = None
_installed = False


def install(host: Host) -> None:
    """Make `host` the one that is told; the first time moto is changed. Raises AttributeError where moto has moved."""
    global _host, _installed
    _host = host
    if not _installed:
        for (module, owner, name), around in HOOKS.items():
            _wrap(getattr(import_module(module), owner), name, around)
        _installed = True


def _wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        if _host is None:
            return original(*args, **kwargs)
        with _noting(_host) as journal:
            return around(_host, journal, original, *args, **kwargs)

    setattr(owner, name, hooked)


@contextmanager
def _noting(host: Host) -> Iterator[Journal]:
    """This thread's journal; without one, another that is made durable at the end."""
    journal = current()
    if journal is not None:
        yield journal
        return
    with recording(Journal()) as stray:
        yield stray
    if stray:
        host.strayed(stray)


def _put_item(
    host: Host, journal: Journal, original: Any, table: Any, item_attrs: Any, *rest: Any, **named: Any
) -> Any:
    host.note_item(journal, table, item_attrs)
    return original(table, item_attrs, *rest, **named)


def _delete_item(host: Host, journal: Journal, original: Any, table: Any, hash_key: Any, range_key: Any) -> Any:
    key = {table.hash_key_attr: {hash_key.type: hash_key.value}}
    if table.range_key_attr is not None and range_key is not None:
        key[table.range_key_attr] = {range_key.type: range_key.value}
    host.note_item(journal, table, key)
    return original(table, hash_key, range_key)


def _update_item(
    host: Host, journal: Journal, original: Any, backend: Any, table_name: str, key: Any, *rest: Any, **named: Any
) -> Any:
    host.note_item(journal, backend.get_table(table_name), key)
    return original(backend, table_name, key, *rest, **named)


def _delete_table(host: Host, journal: Journal, original: Any, backend: Any, name: str) -> Any:
    deleted = original(backend, name)
    host.note_drop(journal, backend.region_name, deleted.name)
    return deleted


def _put_object(
    host: Host, journal: Journal, original: Any, backend: Any, bucket_name: str, key_name: str, *rest: Any, **named: Any
) -> Any:
    host.keep_body(backend, bucket_name, key_name)
    host.note_object(journal, bucket_name, key_name)
    if named.get("multipart") is not None:
        named["disable_notification"] = True  # moto tells of an upload in parts twice, as a put and as an upload
    return original(backend, bucket_name, key_name, *rest, **named)


def _delete_object(
    host: Host, journal: Journal, original: Any, backend: Any, bucket_name: str, key_name: str, *rest: Any, **named: Any
) -> Any:
    host.keep_body(backend, bucket_name, key_name)
    host.note_object(journal, bucket_name, key_name)
    return original(backend, bucket_name, key_name, *rest, **named)


def _put_object_tagging(host: Host, journal: Journal, original: Any, backend: Any, key: Any, tags: Any) -> Any:
    host.note_object(journal, key.bucket_name, key.name)
    return original(backend, key, tags)


def _send_message(
    host: Host, journal: Journal, original: Any, backend: Any, queue_name: str, message_body: str, *_: Any, **named: Any
) -> None:
    """Whatever inside moto sends to a queue, S3's notifications for one: moto has no queues here."""
    journal.puts.append(host.receivers.queue_put(queue_name, message_body.encode()))


def _publish(host: Host, journal: Journal, original: Any, subscription: Any, *args: Any, **named: Any) -> None:
    if subscription.protocol in ("sqs", "lambda"):
        journal.puts.extend(topics.deliver(host.receivers, subscription, *args, **named))
    elif subscription.protocol in ("http", "https"):
        # Off moto's one thread: an address that does not answer must not stop everything else.
        threading.Thread(target=original, args=(subscription, *args), kwargs=named, daemon=True).start()
    else:
        original(subscription, *args, **named)


def _send_to_targets(
    host: Host, journal: Journal, original: Any, rule: Any, original_event: Any, transform_input: bool = True
) -> None:
    journal.puts.extend(bus.deliver(host.receivers, original, rule, original_event, transform_input))


def _invoke(
    host: Host, journal: Journal, original: Any, function: Any, body: Any, request_headers: Any, response_headers: Any
) -> bytes:
    """Never Docker: what moto calls by itself (S3's notifications, log subscriptions) is an asynchronous call."""
    name = host.receivers.find(function.function_name)
    if name is not None:
        journal.puts.append(host.receivers.function_put(name, body.encode() if isinstance(body, str) else body))
    return b"null"


HOOKS: dict[tuple[str, str, str], Callable[..., Any]] = {
    ("moto.dynamodb.models.table", "Table", "put_item"): _put_item,
    ("moto.dynamodb.models.table", "Table", "delete_item"): _delete_item,
    ("moto.dynamodb.models", "DynamoDBBackend", "update_item"): _update_item,
    ("moto.dynamodb.models", "DynamoDBBackend", "delete_table"): _delete_table,
    ("moto.s3.models", "S3Backend", "put_object"): _put_object,
    ("moto.s3.models", "S3Backend", "delete_object"): _delete_object,
    ("moto.s3.models", "S3Backend", "put_object_tagging"): _put_object_tagging,
    ("moto.sqs.models", "SQSBackend", "send_message"): _send_message,
    ("moto.sns.models", "Subscription", "publish"): _publish,
    ("moto.events.models", "Rule", "send_to_targets"): _send_to_targets,
    ("moto.awslambda.models", "LambdaFunction", "invoke"): _invoke,
}
