"""NKeys and credentials files, without a server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from millrace.broker_address import parse_address
from millrace.brokers.nats.credentials import Credentials, credentials_of
from millrace.brokers.nats.nkey import nkey_of
from millrace.errors import BrokerDenied

# A pair of the public tests of NATS's own clients.
_SEED = "SUAMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU"
_PUBLIC = "UCK5N7N66OBOINFXAYC2ACJQYFSOD4VYNU6APEJTAVFZB2SVHLKGEW7L"
_FILE = f"""-----BEGIN NATS USER JWT-----
a.jwt.there
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{_SEED}
------END USER NKEY SEED------
"""


def at(option: str = "", userinfo: str = "", environ: dict[str, str] | None = None) -> Credentials:
    address = parse_address(f"nats://{userinfo}localhost/{option}", {"nats": 4222}, ("creds",), {})
    return credentials_of(address, environ or {})


def test_a_seed_has_its_name() -> None:
    key = nkey_of(_SEED)
    assert key.public() == _PUBLIC
    assert "seed" not in repr(key)
    assert key.sign("nonce") == nkey_of(_SEED).sign("nonce"), "expected Ed25519 to have one signature"
    assert len(key.sign("nonce")) == 86


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "begins with SU"),
        ("not base32!", "base32"),
        ("SAAA" + _SEED[4:], "begins with SU"),
        (_SEED[:-1] + "A", "checksum"),
        (_SEED[:-8], "checksum"),
    ],
)
def test_what_is_no_seed_is_told_without_showing_it(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        nkey_of(text)
    assert not text or text not in str(refused.value)


def test_a_credentials_file_has_a_jwt_and_a_key(tmp_path: Path) -> None:
    path = tmp_path / "me.creds"
    path.write_text(_FILE)
    login = at(f"?creds={path}").login({"nonce": "abc"})
    assert login == {"jwt": "a.jwt.there", "nkey": _PUBLIC, "sig": nkey_of(_SEED).sign("abc")}
    path.write_text(_SEED + "\n")
    assert set(at(f"?creds={path}").login({"nonce": "abc"})) == {"nkey", "sig"}, "expected a seed alone to do"


def test_the_environment_names_a_file_where_the_url_names_nobody(tmp_path: Path) -> None:
    environ = {"MILLRACE_BROKER_CREDS": str(tmp_path)}
    assert at(environ=environ).path == tmp_path
    assert at(userinfo="me:secret@", environ=environ).login({}) == {"user": "me", "pass": "secret"}
    assert at("?creds=other", userinfo="me:secret@").path == Path("other")
    assert at().login({}) == {}


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "me.creds"
    with pytest.raises(BrokerDenied, match=r"me\.creds cannot be read") as missing:
        at(f"?creds={path}").login({"nonce": "abc"})
    assert "nsc generate creds" in missing.value.hint
    path.write_text(_FILE.replace(_SEED, _SEED[:-1] + "A"))
    with pytest.raises(BrokerDenied, match="checksum") as broken:
        at(f"?creds={path}").login({"nonce": "abc"})
    assert _SEED[:-1] not in str(broken.value)
    with pytest.raises(BrokerDenied, match="knows no NKeys"):
        at(f"?creds={path}").login({})


def test_without_the_package_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(BrokerDenied) as missing:
        nkey_of(_SEED).public()
    assert missing.value.hint == "pip install 'millrace[nats]'"
