"""Where a project keeps its tables, results and bookmarks, and what is done: its own file, or a database elsewhere."""

from __future__ import annotations

import importlib
from typing import Protocol

from millrace.clock import Clock
from millrace.config.fleet import DATABASE_PACKAGE, DATABASE_SCHEMES, TABLE_PACKAGE, TABLE_SCHEME
from millrace.config.schema import Project, TableConfig
from millrace.database import Database
from millrace.errors import ConfigError
from millrace.known_brokers import scheme_of
from millrace.store import Bookmarks, Ledger, Results, Table
from millrace.stores.sqlite import SqliteBookmarks, SqliteResults, SqliteTables

FILE = "millrace.db"


class Store(Protocol):
    """One database behind the ports."""

    results: Results
    bookmarks: Bookmarks

    @property
    def ledger(self) -> Ledger:
        """What is done already, for a queue elsewhere."""
        ...

    async def open_table(self, name: str, key: str, *, stream: bool = False) -> Table:
        """The table of that name, made where it is not there. Raises ConfigError for a name or key that cannot be."""
        ...

    async def close(self) -> None:
        """Finish what was begun."""
        ...


class EmbeddedStore:
    """The SQLite file in the project's folder; `tables` take part in the commits of its queue."""

    def __init__(self, project: Project, clock: Clock) -> None:
        self.database = Database.open(project.state / FILE, clock=clock)
        self.tables = SqliteTables(self.database)
        self.results: Results = SqliteResults(self.database)
        self.bookmarks: Bookmarks = SqliteBookmarks(self.database)

    @property
    def ledger(self) -> Ledger:
        """See Store."""
        from millrace.stores.sqlite.ledger import SqliteLedger  # the queue in the same file needs none

        return SqliteLedger(self.database, [self.tables])

    async def open_table(self, name: str, key: str, *, stream: bool = False) -> Table:
        """See Store."""
        return await self.tables.open(name, key, stream=stream)

    async def close(self) -> None:
        """See Store."""
        await self.database.close()


async def open_store(project: Project, clock: Clock) -> Store:
    """The store that the project names. Raises ConfigError, StorageError."""
    if project.database is None:
        return EmbeddedStore(project, clock)
    if scheme_of(project.database) not in DATABASE_SCHEMES:
        raise ConfigError("database: no database that millrace knows", "expected postgresql://HOST:PORT/NAME")
    try:
        module = importlib.import_module("millrace.stores.postgres")
    except ModuleNotFoundError as error:
        if error.name != DATABASE_PACKAGE:
            raise
        hint = "pip install 'millrace[postgres]'"
        raise ConfigError(f"database: PostgreSQL needs the package {DATABASE_PACKAGE}", hint) from None
    store: Store = await module.open_postgres(project.database, clock=clock)
    return store


async def open_project_table(store: Store, name: str, config: TableConfig, *, stream: bool) -> Table:
    """A table of a project: in its store, or where its `url` says. Raises ConfigError, StorageError."""
    if config.url is None:
        return await store.open_table(name, config.key, stream=stream)
    if scheme_of(config.url) != TABLE_SCHEME:
        raise ConfigError(f"tables.{name}.url: no database that millrace knows", "expected dynamodb://REGION/TABLE")
    if stream:
        raise ConfigError(f"tables.{name}: the changes of a table in DynamoDB are not seen here", "leave out its `url`")
    try:
        module = importlib.import_module("millrace.stores.dynamodb")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != TABLE_PACKAGE:
            raise
        hint = "pip install 'millrace[dynamodb]'"
        raise ConfigError(f"tables.{name}.url: DynamoDB needs the package {TABLE_PACKAGE}", hint) from None
    table: Table = await module.open_table(config.url, name, config.key)
    return table
