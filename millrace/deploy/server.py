"""The broker that a project's URL means, as far as others must find its queues: never its user or password."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from millrace.config.brokers import KnownBroker, known_broker, scheme_of


class Server(msgspec.Struct, frozen=True):
    """A broker's place. `hosts` are `host` or `host:port` as the URL has them."""

    kind: KnownBroker
    scheme: str
    hosts: tuple[str, ...]
    path: str
    prefix: str
    has_user: bool

    def example(self) -> str:
        """Its URL with words where user and password belong."""
        end = f"?prefix={quote(self.prefix)}" if self.prefix else ""
        return f"{self.scheme}://USER:PASSWORD@{','.join(self.hosts)}/{quote(self.path, safe='')}{end}"

    def addresses(self, port: int) -> list[str]:
        """Its hosts, each with a port."""
        return [host if _has_port(host) else f"{host}:{port}" for host in self.hosts]

    def host_names(self) -> list[str]:
        """Its hosts without ports."""
        return [host.rpartition(":")[0] if _has_port(host) else host for host in self.hosts]


def server_of(url: str | None) -> Server | None:
    """The broker of a URL; None without one, and for a URL that no adapter knows (which the project's check tells)."""
    known = known_broker(url) if url else None
    if url is None or known is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    userinfo, _, hosts = parts.netloc.rpartition("@")
    options = dict(parse_qsl(parts.query))
    return Server(
        known,
        scheme_of(url),
        tuple(hosts.split(",")),
        unquote(parts.path.lstrip("/")),
        options.get("prefix", ""),
        bool(userinfo),
    )


def _has_port(host: str) -> bool:
    name, colon, port = host.rpartition(":")
    return bool(colon) and port.isdecimal() and (":" not in name or name.endswith("]"))
