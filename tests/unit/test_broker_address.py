"""A broker's URL, read alike for every adapter."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from millrace.broker_address import Address, parse_address
from millrace.errors import BrokerDenied, BrokerError

PORTS = {"amqp": 5672, "amqps": 5671}


def parse(url: str, *options: str, **environ: str) -> Address:
    return parse_address(url, PORTS, options, environ)


def test_every_part() -> None:
    found = parse("amqps://me:s%40cret@a:1,[::1],c/v%2Fhost?prefix=team.&heartbeat=5&cafile=ca.pem", "heartbeat")
    assert found.scheme == "amqps"
    assert found.tls
    assert found.hosts == (("a", 1), ("::1", 5671), ("c", 5671))
    assert (found.host, found.port) == ("a", 1)
    assert (found.user, found.password) == ("me", "s@cret")
    assert found.path == "v/host"
    assert found.prefix == "team."
    assert found.options == {"heartbeat": "5", "cafile": "ca.pem"}


def test_what_is_left_out() -> None:
    found = parse("amqp://")
    assert found.hosts == (("localhost", 5672),)
    assert (found.user, found.password, found.path, found.options, found.prefix) == (None, None, None, {}, "")
    assert not found.tls
    assert found.tls_context() is None
    assert parse("amqp://host/").path == ""


def test_credentials_of_the_environment_stand_behind_those_of_the_url() -> None:
    environ = {"MILLRACE_BROKER_USER": "env", "MILLRACE_BROKER_PASSWORD": "hidden"}
    found = parse("amqp://host", **environ)
    assert (found.user, found.password) == ("env", "hidden")
    found = parse("amqp://me@host", **environ)
    assert (found.user, found.password) == ("me", "hidden")
    found = parse("amqp://me:@host", **environ)
    assert found.password == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("amqp://127.0.0.1", "amqp://me:secret@127.0.0.1:5672/%2F", True),
        ("amqp://localhost/", "amqp://127.0.0.1/", True),
        ("amqp://no.invalid,127.0.0.1/", "amqps://127.0.0.1:5672/", True),
        ("amqp://no.invalid/", "amqp://no.invalid:5672/", True),
        ("amqp://127.0.0.1/", "amqp://127.0.0.1:5673/", False),
        ("amqp://127.0.0.1/a", "amqp://127.0.0.1/b", False),
        ("amqp://127.0.0.1/", "amqp://127.0.0.1/?prefix=b", False),
        ("amqp://region/?endpoint=a", "amqp://region/?endpoint=b", False),
        ("amqp://me@127.0.0.1/", "amqp://you@127.0.0.1/", False),
    ],
)
def test_two_urls_of_one_place(one: str, other: str, same: bool) -> None:
    assert parse(one, "endpoint").is_at(parse(other, "endpoint")) is same


def test_no_text_form_shows_a_secret() -> None:
    found = parse("amqp://me:secret@[::1]:7/v?token=secret", "token")
    for text in (str(found), repr(found), f"{found}", f"{[found]}"):
        assert "secret" not in text
        assert "me" not in text
    assert str(found) == "amqp://[::1]:7/v"


@pytest.mark.parametrize(
    ("url", "problem", "hint"),
    [
        ("http://me:secret@host", "http:", "amqp://USER"),
        ("me:secret@host", "begins with", "amqp://USER"),
        ("host", "no scheme", "amqp://USER"),
        ("amqp://me:secret@[::1", "cannot be read", "amqp://USER"),
        ("amqp://me:secret@host:port", "'host:port'", "host:port"),
        ("amqp://me:secret@host:99999", "'host:99999'", "host:port"),
        ("amqp://me:secret@host?colour=red", "'colour'", "known are: prefix, cafile, certfile, keyfile, heartbeat"),
        ("amqp://me:secret@host?heartbeat=1&heartbeat=2", "twice", "leave one"),
        ("amqp://me:secret@host?cafile=x", "amqp:// is not encrypted", "amqps://"),
        ("amqps://me:secret@host?keyfile=x", "without a certfile", "both"),
        ("amqp://me:12/secret@host", "@ behind", "%2F"),
        ("amqp://me:se#secret@host", "@ behind", "%23"),
        ("amqp://me:se?secret@host", "@ behind", "%3F"),
        ("amqp://me:secret@host?prefix=a%20b", "'a b'", "letters"),
        ("amqp://me:secret@host?prefix=" + "x" * 65, "prefix", "64"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(url: str, problem: str, hint: str) -> None:
    with pytest.raises(BrokerDenied) as caught:
        parse(url, "heartbeat")
    assert problem in caught.value.problem
    assert hint in caught.value.hint
    assert "secret" not in str(caught.value)


def test_an_option_that_is_a_whole_number() -> None:
    found = parse("amqp://host?heartbeat=30", "heartbeat")
    assert found.number("heartbeat", 15, most=60) == 30
    assert found.number("window", 15, most=60) == 15


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "61", "1.5"])
def test_an_option_that_is_no_such_number_is_refused(text: str) -> None:
    found = parse(f"amqp://me:secret@host?heartbeat={text}", "heartbeat")
    with pytest.raises(BrokerDenied, match="heartbeat=") as caught:
        found.number("heartbeat", 15, most=60)
    assert "from 1 to 60" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_an_at_sign_in_the_value_of_an_option_is_no_password() -> None:
    assert parse("amqps://host?cafile=/etc/ca@2.pem").options == {"cafile": "/etc/ca@2.pem"}


def test_a_scheme_without_a_double_of_its_own_is_told_of_tls() -> None:
    with pytest.raises(BrokerError, match="tls://"):
        parse_address("nats://host?cafile=x", {"nats": 4222, "tls": 4222}, (), {})


def test_certificates_are_checked_by_default() -> None:
    context = parse("amqps://host").tls_context()
    assert context is not None
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("option", ["cafile", "certfile"])
def test_files_that_are_no_certificates_are_named(option: str, tmp_path: Path) -> None:
    for file in (tmp_path / "missing.pem", tmp_path / "odd.pem"):
        (tmp_path / "odd.pem").write_text("odd")
        with pytest.raises(BrokerError, match=file.name):
            parse(f"amqps://host?{option}={file}").tls_context()
