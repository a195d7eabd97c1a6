"""Alarms and full disks, as each broker has them: publishers are blocked or refused until it is calm again."""

from __future__ import annotations

import socket

from tests.services.rabbitmq import Rabbitmq
from tests.services.redis import Redis
from tests.services.server import HOST

_SMALL_BYTES = 1_000_000
_WATERMARK = "0.4"


class RabbitmqMemory:
    """The memory alarm: connections that publish are blocked."""

    def __init__(self, server: Rabbitmq) -> None:
        self._server = server

    def alarm(self) -> None:
        self._server.control("set_vm_memory_high_watermark", "0.00001")

    def calm(self) -> None:
        self._server.control("set_vm_memory_high_watermark", _WATERMARK)


class RedisMemory:
    """maxmemory below what is there: writes are refused with OOM."""

    def __init__(self, server: Redis) -> None:
        self._port = server.port

    def alarm(self) -> None:
        self._set(_SMALL_BYTES)

    def calm(self) -> None:
        self._set(0)

    def _set(self, limit: int) -> None:
        with socket.create_connection((HOST, self._port), timeout=10.0) as connection:
            connection.sendall(f"CONFIG SET maxmemory {limit}\r\n".encode())
            answer = connection.recv(64)
        assert answer.startswith(b"+OK"), answer
