"""The durable queue of a project: in its own file, or a broker elsewhere with an outbox beside it."""

from __future__ import annotations

from millrace.app.brokers import open_broker
from millrace.app.stores import EmbeddedStore, Store
from millrace.broker import Broker
from millrace.brokers.sqlite import SqliteBroker
from millrace.clock import Clock
from millrace.config.schema import Project
from millrace.store import Results


async def open_queue(project: Project, store: Store, clock: Clock) -> Broker:
    """A broker that dedupes and commits with what is in the store. Raises BrokerError, ConfigError, StorageError."""
    if project.broker is None and isinstance(store, EmbeddedStore):
        return SqliteBroker(store.database, [store.tables])
    from millrace.brokers.outbox import Outbox

    inner = await open_broker(project.broker, clock=clock) if project.broker else EmbeddedQueue(project, clock)
    return Outbox(inner, store.ledger, clock=clock)


def results_of(queue: Broker, store: Store) -> Results:
    """What became of messages, as far as the queue and the store know together."""
    if isinstance(queue, SqliteBroker):
        return store.results
    from millrace.brokers.outbox import Outbox

    return queue.results(store.results) if isinstance(queue, Outbox) else store.results


class EmbeddedQueue(SqliteBroker):
    """The queue in the project's folder where all else is elsewhere, with a file of its own."""

    def __init__(self, project: Project, clock: Clock) -> None:
        self._store = EmbeddedStore(project, clock)
        super().__init__(self._store.database)

    async def close(self) -> None:
        await super().close()
        await self._store.close()
