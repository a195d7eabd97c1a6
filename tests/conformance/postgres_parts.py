"""A store in a schema of its own, dropped afterwards."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from millrace.clock import Clock
from millrace.stores.postgres import PostgresStore, open_postgres
from tests.needs import needs_module
from tests.services import service

needs_module("psycopg", "psycopg_pool")


def fresh_url(**options: str) -> str:
    """The server's URL with the name of a schema that is not there yet."""
    query = "&".join(
        f"{name}={value}" for name, value in ({"schema": f"test_{secrets.token_hex(6)}"} | options).items()
    )
    return f"{service('postgres')}?{query}"


def schema_of(url: str) -> str:
    return url.rpartition("schema=")[2].partition("&")[0]


async def drop(url: str) -> None:
    """Drop the schema of a URL."""
    async with await psycopg.AsyncConnection.connect(service("postgres"), autocommit=True) as connection:
        await connection.execute(f"DROP SCHEMA IF EXISTS {schema_of(url)} CASCADE".encode())


@asynccontextmanager
async def opened(url: str | None = None, clock: Clock | None = None) -> AsyncIterator[PostgresStore]:
    url = url or fresh_url()
    store = await open_postgres(url, clock=clock)
    try:
        yield store
    finally:
        await store.close()
        await drop(url)
