"""Tables and buckets that are made through the API: their definitions are rows, and so they are there after a restart.

What a call of DynamoDB or S3 made, changed or deleted is seen by comparing moto before and after it. A definition is
durable before what the thing holds, and is forgotten after it. What CloudFormation makes is not remembered: its stacks
are in memory, and the next start's would meet it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from millrace.aws.endpoint.call import Call
from millrace.aws.moto.journal import Journal, recording
from millrace.errors import StorageError
from millrace.store import Bucket, Table
from millrace.types import Row

_log = logging.getLogger("millrace.aws")
_PAGE = 1000

Run = Callable[..., Awaitable[Any]]  # calls a function in moto's thread


class Places(Protocol):
    """Where the content of what is made at run time is kept."""

    async def open_table(self, name: str, key: str) -> Table:
        """The table of that name, beside the project's. Raises ConfigError for a name or key that cannot be."""

    async def own_table(self, name: str, key: str) -> Table:
        """A table whose name no project can have."""

    def open_bucket(self, name: str) -> Bucket:
        """The folder of that name, beside the project's."""


class Definition(msgspec.Struct, frozen=True):
    """What is remembered of a table or bucket; `said` is its kind's own, `store` is where its content is kept."""

    id: str  # service:name
    said: dict[str, Any]
    store: str = ""


class Step(msgspec.Struct, frozen=True):
    """What a call did to one thing: `old` is None where it was made, `said` where it was deleted."""

    service: str
    name: str
    old: Definition | None
    said: dict[str, Any] | None


class Kind(Protocol):
    """Tables or buckets, as moto has them; the first five are called in moto's thread."""

    def may_change(self, call: Call) -> bool:
        """Whether a call can make, change or delete one."""

    def names(self) -> set[str]:
        """All that are there and could be remembered."""

    def describe(self, name: str, journal: Journal) -> dict[str, Any]:
        """All that is needed to make it again, fit for JSON."""

    def make(self, name: str, said: Mapping[str, Any]) -> None:
        """Make it from its description."""

    def drop(self, name: str) -> None:
        """Let moto forget it, if it has it."""

    async def open(self, name: str, said: Mapping[str, Any], store: str) -> str:
        """Mirror its content from now on, in `store` or, where that is empty, one yet to be found; returns which."""

    async def fill(self, name: str) -> None:
        """Put back what it holds."""

    def close(self, name: str) -> None:
        """Mirror it no more."""


class Made:
    """What was made at run time, by service. `kept` holds the definitions, `run` calls in moto's thread."""

    def __init__(self, kept: Table, kinds: Mapping[str, Kind], run: Run) -> None:
        self._kept = kept
        self._kinds = kinds
        self._run = run
        self._known: dict[str, dict[str, Definition]] = {service: {} for service in kinds}
        self._declared: dict[str, set[str]] = {service: set() for service in kinds}

    async def load(self) -> None:
        """Make again whatever the project itself did not make; the content is yet to come. Raises StorageError."""
        for service, kind in self._kinds.items():
            self._known[service] = {}
            self._declared[service] = await self._run(kind.names)
        after: str | None = None
        while rows := await self._kept.scan(after=after, limit=_PAGE):
            for row in rows:
                await self._again(msgspec.json.decode(row.value, type=Definition))
            after = rows[-1].key

    def before(self, service: str, call: Call) -> set[str] | None:
        """What is there before a call, None for a call that changes nothing here; in moto's thread."""
        kind = self._kinds.get(service)
        return kind.names() if kind is not None and kind.may_change(call) else None

    def collect(self, service: str, before: set[str] | None, journal: Journal) -> list[Step]:
        """What a call made, changed and deleted; in moto's thread."""
        if before is None:
            return []
        kind, known = self._kinds[service], self._known[service]
        after = kind.names()
        fresh = after - before - self._declared[service] - known.keys()
        steps = [Step(service, name, None, _plain(kind.describe(name, journal))) for name in sorted(fresh)]
        for name, old in known.items():
            said = _plain(kind.describe(name, Journal())) if name in after else None
            if said != old.said:
                steps.append(Step(service, name, old, said))
        return steps

    async def remember(self, steps: Sequence[Step]) -> None:
        """Make what was made or changed durable, before its content. Raises StorageError."""
        for step in steps:
            if step.said is None:
                continue
            kind = self._kinds[step.service]
            store = step.old.store if step.old else await kind.open(step.name, step.said, "")
            await self._put(step, Definition(f"{step.service}:{step.name}", step.said, store))
            if step.old is None:
                await kind.fill(step.name)

    async def forget(self, steps: Sequence[Step]) -> None:
        """Forget what was deleted, after its content. Raises StorageError."""
        for step in steps:
            if step.said is None:
                await self._delete(step)

    async def revert(self, steps: Sequence[Step]) -> None:
        """Give moto back what it had, since the disk refused."""
        for step in steps:
            kind = self._kinds[step.service]
            await self._run(kind.drop, step.name)
            with suppress(StorageError):
                if step.old is None:
                    await self._delete(step)
                    continue
                await self._run(_quietly, kind.make, step.name, step.old.said)
                await kind.open(step.name, step.old.said, step.old.store)
                await kind.fill(step.name)
                await self._put(step, step.old)

    async def _again(self, definition: Definition) -> None:
        service, _, name = definition.id.partition(":")
        kind = self._kinds.get(service)
        if kind is None or name in self._declared[service]:
            return
        try:
            await self._run(_quietly, kind.make, name, definition.said)
            await kind.open(name, definition.said, definition.store)
        except StorageError:
            raise
        except Exception as error:  # what moto raises at an earlier version's words, or a store that is another's now
            await self._run(kind.drop, name)
            _log.warning("%s: %r could not be made again: %s", service, name, getattr(error, "message", error))
            return
        self._known[service][name] = definition

    async def _put(self, step: Step, definition: Definition) -> None:
        self._known[step.service][step.name] = definition
        await self._kept.put([Row(self._kept.name, definition.id, msgspec.json.encode(definition))])

    async def _delete(self, step: Step) -> None:
        await self._kept.delete([f"{step.service}:{step.name}"])
        self._kinds[step.service].close(step.name)
        self._known[step.service].pop(step.name, None)


def _quietly(make: Callable[..., None], *args: Any) -> None:
    """What is made again is news to nobody."""
    with recording(Journal()):
        make(*args)


def _plain(said: dict[str, Any]) -> dict[str, Any]:
    """As it is when it comes back from its row."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(said))
    return plain
