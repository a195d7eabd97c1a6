"""The `events` of a stage: a function for each that is named, with its schedules, queues, buckets, topics, tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from millrace.config.tree import Node
from millrace.formats.arns import Arn, parse_arn
from millrace.formats.cloudformation.buckets import NOTIFICATION_EVENT_KEYS
from millrace.formats.keys import Key
from millrace.formats.nodes import append, put
from millrace.formats.zappa.keys import ZAPPA_EVENT_KEYS, ZAPPA_SOURCE_KEYS
from millrace.formats.zappa.stage import StageReader

_BATCH = 10
_POSITIONS = {"TRIM_HORIZON": "oldest", "LATEST": "latest"}
_TRIGGERS = ("expression", "expressions", "event_source", "event_pattern")


class EventsReader:
    """Reads the `events` into the tree of a stage that has been read."""

    def __init__(self, stage: StageReader) -> None:
        self._stage = stage
        self._names: dict[str, str] = {}  # dotted paths and the functions that they became
        self._sources: dict[str, Callable[[Node, Node, Arn, Node], None]] = {
            "sqs": self._queue,
            "sns": self._topic,
            "s3": self._bucket,
            "dynamodb": self._table,
        }

    def read(self) -> None:
        """Every event becomes one of its function's; what has no meaning here is told."""
        events = self._stage.get("events")
        if events is None:
            return
        if not isinstance(events.value, list):
            self._stage.say(events, "events", "a list", events.shown)
            return
        for index, event in enumerate(events.value):
            self._read(event, f"events[{index}]")

    def _read(self, event: Node, where: str) -> None:
        say = self._stage.say
        if not isinstance(event.value, dict):
            return say(event, where, "a mapping with a function", event.shown)
        self._stage.examine(event, ZAPPA_EVENT_KEYS, where)
        target = event.child("function")
        if target is None:
            return say(event, f"{where}: the key 'function' is missing", "a dotted path such as api.app.process")
        if not self._stage.check_path(target, f"{where}.function"):
            return None
        function = self._function(target)
        if not any(key in event.value for key in _TRIGGERS):
            return say(event, f"{where} has nothing that triggers it", f"one of {', '.join(_TRIGGERS)}")
        self._schedules(function, event)
        if (source := event.child("event_source")) is not None:
            self._source(function, source, f"{where}.event_source")
        return self._pattern(function, event)

    def _function(self, target: Node) -> Node:
        """The function of a dotted path, made when the path is met for the first time."""
        path = str(target.value)
        functions = self._stage.tree.value["functions"].value
        if path not in self._names:
            short = path.rpartition(".")[2]
            self._names[path] = path.replace(".", "-") if short in functions else short
            self._stage.add_function(self._names[path], "handler", path, target)
        found: Node = functions[self._names[path]]
        return found

    def _schedules(self, function: Node, event: Node) -> None:
        several = event.child("expressions")
        rules = several.value if several is not None and isinstance(several.value, list) else []
        if (one := event.child("expression")) is not None:
            rules = [one]  # Zappa lets the one win
        for rule in rules:
            made: dict[str, Any] = {"schedule": rule}
            if (kwargs := event.child("kwargs")) is not None:
                made["input"] = {"kwargs": kwargs}
            if (enabled := event.child("enabled")) is not None:
                made["enabled"] = enabled
            append(function, ["events"], made, rule)

    def _pattern(self, function: Node, node: Node) -> None:
        if (pattern := node.child("event_pattern")) is not None:
            append(function, ["events"], {"bus": "default", "pattern": pattern}, pattern)

    def _source(self, function: Node, source: Node, where: str) -> None:
        say = self._stage.say
        if not isinstance(source.value, dict):
            return say(source, where, "a mapping with an arn", source.shown)
        self._stage.examine(source, {**ZAPPA_SOURCE_KEYS, "events": Key("yes")}, where)
        self._pattern(function, source)
        node = source.child("arn")
        if node is None:
            if "event_pattern" not in source.value:
                say(source, f"{where}: the key 'arn' is missing", "the ARN of a queue, topic, bucket or table's stream")
            return None
        arn = parse_arn(str(node.value))
        if arn is None:
            return say(node, f"{where}.arn", "an ARN such as arn:aws:sqs:us-east-1:123456789012:images", node.shown)
        read = self._sources.get(arn.service)
        if read is None:
            what = f"{where}: there is no {arn.service} here, so the function is not triggered"
            return say(node, what, f"an ARN of {', '.join(self._sources)}", node.shown, "warning")
        return read(function, source, arn, node)

    def _enabled(self, source: Node) -> dict[str, Node]:
        enabled = source.child("enabled")
        if enabled is not None:
            return {"enabled": enabled}
        what = (
            "`enabled` is left out: Zappa's README says that such a source is off, some versions turn it on; here it is"
        )
        self._stage.say(source, f"{what} on", "enabled: true, or false", severity="warning")
        return {}

    def _queue(self, function: Node, source: Node, arn: Arn, node: Node) -> None:
        self._stage.add_queue(arn, node)
        made: dict[str, Any] = {"queue": arn.name, "batch": self._batch(source)}
        made |= {"on_error": "batch", "retry": "lease", **self._enabled(source)}
        append(function, ["events"], made, node)

    def _batch(self, source: Node) -> dict[str, Any]:
        size, window = source.child("batch_size"), source.child("batch_window")
        batch: dict[str, Any] = {"size": size if size is not None else _BATCH}
        if window is not None:
            batch["wait"] = window
        elif size is not None and isinstance(size.value, int) and size.value > _BATCH:
            batch["wait"] = "1s"  # Zappa's own default for batches that SQS cannot fill at once
        return batch

    def _table(self, function: Node, source: Node, arn: Arn, node: Node) -> None:
        tables = self._stage.tree.child("tables")
        if tables is None or arn.name not in tables.value:
            put(self._stage.tree, ["tables", arn.name], {"key": "id"}, node)
            what = f"nothing says what the key of the table {arn.name} is: taken to be `id`"
            self._stage.say(node, what, f"--set tables.{arn.name}.key=NAME where it is another", severity="warning")
        size, start = source.child("batch_size"), source.child("starting_position")
        made: dict[str, Any] = {"table": arn.name, "on_error": "batch", **self._enabled(source)}
        made["batch"] = {"size": size if size is not None else _BATCH}
        if start is not None and start.value in _POSITIONS:
            made["start"] = _POSITIONS[start.value]
        elif start is not None:
            self._stage.say(start, "starting_position", f"one of {', '.join(_POSITIONS)}", start.shown)
        append(function, ["events"], made, node)

    def _topic(self, function: Node, source: Node, arn: Arn, node: Node) -> None:
        self._stage.add_topic(arn, node)
        filters = source.child("filters")
        append(function, ["events"], {"topic": arn.name, **({"filter": filters} if filters is not None else {})}, node)

    def _bucket(self, function: Node, source: Node, arn: Arn, node: Node) -> None:
        put(self._stage.tree, ["buckets", arn.name], {"url": f".millrace/buckets/{arn.name}", "poll": "200ms"}, node)
        prefix, suffix = self._ends(source)
        pattern = f"{arn.name}/{prefix}**{suffix}" if prefix or suffix else arn.name
        kinds = source.child("events")
        changes: dict[str, Node] = {}
        for each in kinds.value if kinds is not None and isinstance(kinds.value, list) else []:
            kind = str(each.value)
            on = "created" if "ObjectCreated" in kind else "removed" if "ObjectRemoved" in kind else ""
            if on:
                changes.setdefault(on, each)
                if (known := NOTIFICATION_EVENT_KEYS.get(kind)) is not None and known.support == "partly":
                    self._stage.say(each, f"{kind} is understood in part: {known.note}", severity="warning")
            else:
                self._stage.say(
                    each, f"{kind} never happens here", "s3:ObjectCreated:* or s3:ObjectRemoved:*", severity="warning"
                )
        if kinds is None:
            changes = {"created": node}
        for on, place in changes.items():
            append(function, ["events"], {"bucket": pattern, **({"on": on} if on != "created" else {})}, place)

    def _ends(self, source: Node) -> tuple[str, str]:
        """What an object's key begins and ends with."""
        ends = {name: str(node.value) for name in ("prefix", "suffix") if (node := source.child(name)) is not None}
        filters = source.child("key_filters")
        for each in filters.value if filters is not None and isinstance(filters.value, list) else []:
            kind, value = each.child("type"), each.child("value")
            if kind is not None and value is not None and kind.value in ("prefix", "suffix"):
                ends[kind.value] = str(value.value)
            else:
                self._stage.say(each, "a key filter", "type: prefix or suffix, and a value", each.shown)
        return ends.get("prefix", ""), ends.get("suffix", "")
