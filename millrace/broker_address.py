"""Where a broker is: its URL, read once and alike for every adapter, and never shown with its password.

    amqps://user:secret@broker-1,broker-2:5671/path?prefix=team.&cafile=ca.pem

User and password may be left to MILLRACE_BROKER_USER and MILLRACE_BROKER_PASSWORD, so that no project file and no
process list has to show them. `prefix` is put before the name of everything that millrace makes in the broker.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from millrace.errors import BrokerDenied

if TYPE_CHECKING:
    import ssl

USER_VARIABLE = "MILLRACE_BROKER_USER"
PASSWORD_VARIABLE = "MILLRACE_BROKER_PASSWORD"  # noqa: S105 - its name
_TLS_SCHEMES = frozenset({"amqps", "rediss", "valkeys", "tls", "kafkas"})
_TLS_OPTIONS = ("cafile", "certfile", "keyfile")
_DEFAULT_PATHS = (None, "", "/", "0")  # RabbitMQ's virtual host, Redis's database
_ENCODED = "in a user or password write / as %2F, ? as %3F, # as %23, @ as %40 and : as %3A"
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Address(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A broker's URL in parts, percent-decoded; as text it shows neither user nor password nor options.

    `path` has no leading slash and is None where the URL has none (`amqp://host`), "" where it is `/`. `options` are
    those of the adapter, in the order of the URL.
    """

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    user: str | None = None
    password: str | None = None
    path: str | None = None
    options: dict[str, str] = {}
    prefix: str = ""

    @property
    def host(self) -> str:
        """The first host."""
        return self.hosts[0][0]

    @property
    def port(self) -> int:
        """The first host's port."""
        return self.hosts[0][1]

    @property
    def tls(self) -> bool:
        """Whether the scheme asks for an encrypted connection."""
        return self.scheme in _TLS_SCHEMES

    def is_at(self, other: Address) -> bool:
        """Whether both are the same part of the same broker, as far as their hosts' names and users tell."""
        if self.user and other.user and self.user != other.user:  # of SQS, that is another account
            return False
        mine, others = (
            ("" if each.path in _DEFAULT_PATHS else each.path, each.prefix, each.options.get("endpoint"))
            for each in (self, other)
        )
        return mine == others and not _found(self.hosts).isdisjoint(_found(other.hosts))

    def tls_context(self) -> ssl.SSLContext | None:
        """What verifies the broker by the system's authorities or `cafile`; None for a plain connection.

        Raises BrokerDenied for files that cannot be read.
        """
        if not self.tls:
            return None
        import ssl  # slow to come, and not needed to read an address

        try:
            context = ssl.create_default_context(cafile=self.options.get("cafile"))
            if "certfile" in self.options:
                context.load_cert_chain(self.options["certfile"], self.options.get("keyfile"))
        except OSError as error:  # ssl.SSLError too
            files = ", ".join(self.options[name] for name in _TLS_OPTIONS if name in self.options)
            raise BrokerDenied(
                f"broker {self}: certificates cannot be read from {files}: {error}",
                "expected PEM files: cafile of the authority, certfile and keyfile of this client",
            ) from error
        return context

    def places(self) -> list[str]:
        """Its hosts as `host:port` or `[address]:port`."""
        return [place(host, port) for host, port in self.hosts]

    def number(self, option: str, default: int, *, most: int, least: int = 1) -> int:
        """The whole number of an option. Raises BrokerDenied."""
        text = self.options.get(option)
        if text is None:
            return default
        if not text.isdecimal() or not least <= int(text) <= most:
            raise BrokerDenied(f"{self}: {option}={text!r}", f"expected a whole number from {least} to {most}")
        return int(text)

    def __str__(self) -> str:
        return f"{self.scheme}://{','.join(self.places())}" + ("" if self.path is None else f"/{self.path}")

    __repr__ = __str__


def _found(hosts: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
    """Where the hosts are; one whose name cannot be resolved is known by its name."""
    found: set[tuple[str, int]] = set()
    for host, port in hosts:
        try:
            found |= {(str(info[4][0]), port) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        except OSError:
            found.add((host, port))
    return found


def place(host: str, port: int) -> str:
    """A host with its port, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(
    url: str,
    ports: Mapping[str, int],
    options: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Address:
    """Read a broker's URL. `ports` has the default port of each scheme, `options` the adapter's own `?name=value`.

    Raises BrokerDenied that says what is wrong with which part, and what was expected; it never shows the URL whole.
    """
    environ = os.environ if environ is None else environ
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BrokerDenied(f"the broker's URL cannot be read: {error}", _form(ports)) from error
    if parts.scheme not in ports:
        raise BrokerDenied(
            f"the broker's URL begins with {parts.scheme + ':' if parts.scheme else 'no scheme'}", _form(ports)
        )
    userinfo, _, hosts = parts.netloc.rpartition("@")
    if not userinfo and _is_broken_off(parts, options):
        raise BrokerDenied("the broker's URL has its @ behind a /, ? or #", _ENCODED)
    user, colon, password = userinfo.partition(":")
    found = _options(parts, options)
    prefix = found.pop("prefix", "")
    if prefix and not _PREFIX.fullmatch(prefix):
        raise BrokerDenied(
            f"prefix={prefix!r} in the broker's URL", "a prefix is up to 64 letters, digits, '.', '_', '-'"
        )
    return Address(
        parts.scheme,
        tuple(_host(each, ports[parts.scheme]) for each in hosts.split(",")),
        unquote(user) if user else environ.get(USER_VARIABLE) or None,
        unquote(password) if colon else environ.get(PASSWORD_VARIABLE) or None,
        unquote(parts.path[1:]) if parts.path else None,
        found,
        prefix,
    )


def _is_broken_off(parts: SplitResult, known: Collection[str]) -> bool:
    """Whether a password ended the URL's host too early: then host, port, path and options may be parts of it."""
    every = {"prefix", *_TLS_OPTIONS, *known}
    options = (part for part in parts.query.split("&") if part.partition("=")[0] not in every)
    return any("@" in part for part in (parts.path, parts.fragment, *options))


def _options(parts: SplitResult, known: Collection[str]) -> dict[str, str]:
    """What stands behind the question mark. An option that nobody knows would be a promise that nobody keeps."""
    every = ["prefix", *_TLS_OPTIONS, *known]
    found: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in every:
            raise BrokerDenied(f"the broker's URL has an unknown option {name!r}", f"known are: {', '.join(every)}")
        if name in found:
            raise BrokerDenied(f"the broker's URL has the option {name!r} twice", "leave one of them out")
        if name in _TLS_OPTIONS and parts.scheme not in _TLS_SCHEMES:
            raise BrokerDenied(
                f"the broker's URL has {name}, but {parts.scheme}:// is not encrypted",
                f"use {_secure(parts.scheme)}://, or leave {name} out",
            )
        found[name] = value
    if "keyfile" in found and "certfile" not in found:
        raise BrokerDenied("the broker's URL has a keyfile without a certfile", "name both, or the certfile alone")
    return found


def _secure(scheme: str) -> str:
    return scheme + "s" if scheme + "s" in _TLS_SCHEMES else "tls"


def _host(text: str, default_port: int) -> tuple[str, int]:
    """One `host`, `host:port` or `[address]:port`; nothing is this machine."""
    try:
        parts = urlsplit(f"//{text}")
        return parts.hostname or "localhost", default_port if parts.port is None else parts.port
    except ValueError as error:
        raise BrokerDenied(f"the broker's URL names a host {text!r}: {error}", "expected host or host:port") from error


def _form(ports: Mapping[str, int]) -> str:
    return "expected " + " or ".join(f"{scheme}://USER:PASSWORD@HOST:PORT/" for scheme in ports)
