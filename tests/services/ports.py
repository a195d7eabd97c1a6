"""Loopback ports that nothing else takes while a server is down."""

from __future__ import annotations

import secrets
import socket

LOWEST, HIGHEST = 15000, 29999


def free_port() -> int:
    """A port that can be bound now, below the range from which Linux gives ports to clients.

    In that range a client that tries again and again while its server restarts may be given the server's own port.
    """
    while True:
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST + 1)
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
