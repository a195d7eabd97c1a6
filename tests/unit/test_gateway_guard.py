"""Who may ask: with a token those who have it, without one programs of this machine and no web page."""

from __future__ import annotations

import pytest
from gateway_parts import Parts, problem

from millrace.errors import MillraceError
from millrace.sources.http import PushRoute, Readiness, check_bind

PNG = {"content-type": "image/png"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]", "LOCALHOST."])
def test_loopback_needs_no_token(host: str) -> None:
    check_bind(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.2", "example.com", "localhost.example.com"])
def test_any_other_address_needs_one(host: str) -> None:
    check_bind(host, "secret")
    for token in (None, ""):
        with pytest.raises(MillraceError, match="MILLRACE_TOKEN"):
            check_bind(host, token)


@pytest.mark.parametrize(
    "authorization", [None, "", "secret", "Bearer", "Bearer wrong", "Basic secret", "Bearer sécret"]
)
async def test_without_the_token_nothing_but_probes_is_answered(authorization: str | None) -> None:
    parts = Parts(token="secret")
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    async with parts.client(headers=headers) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        parts.ready = Readiness(False, {"classify": {"why": "ModuleNotFoundError: torch"}})
        assert "classify" not in (await client.get("/readyz")).text
        for path in ("/", "/metrics", "/openapi.json", "/results/a", "/nowhere"):
            response = await client.get(path)
            problem(response, 401, "unauthorized")
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert "secret" not in response.text
        problem(await client.post("/images", content=b"x"), 401, "unauthorized")
    assert parts.broker.puts == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_with_the_token_any_host_may_ask(scheme: str) -> None:
    parts = Parts(token="secret")
    async with parts.client(headers={"authorization": f"{scheme} secret", "host": "pets.example.com"}) as client:
        assert (await client.post("/images", content=b"x", headers=PNG)).status_code == 202


@pytest.mark.parametrize("host", ["localhost", "localhost:8400", "127.0.0.1:1", "[::1]:8400", "app.localhost:80"])
async def test_without_a_token_the_host_must_be_a_loopback_name(host: str) -> None:
    async with Parts().client(headers={"host": host}) as client:
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8400", "[::2]", "8.8.8.8"]
)
async def test_a_name_that_was_rebound_to_loopback_is_refused(host: str) -> None:
    parts = Parts()
    async with parts.client(headers={"host": host}) as client:
        told = problem(await client.post("/images", content=b"x"), 421, "misdirected")
    assert told["got"] == host
    assert parts.broker.puts == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": "http://localhost.evil.example"},
        {"sec-fetch-site": "cross-site"},
    ],
)
async def test_a_page_of_another_site_cannot_post(headers: dict[str, str]) -> None:
    parts = Parts()
    async with parts.client() as client:
        problem(await client.post("/images", content=b"x", headers=headers), 403, "cross-site")
    assert parts.broker.puts == []


async def test_a_page_of_this_machine_can() -> None:
    async with Parts().client(headers={"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}) as client:
        assert (await client.post("/images", content=b"x", headers=PNG)).status_code == 202


async def test_http_1_0_without_a_host_is_no_browser() -> None:
    statuses: list[int] = []

    async def send(event: dict[str, int]) -> None:
        statuses.append(event.get("status", 0))

    await Parts().app(
        {"type": "http", "method": "GET", "path": "/healthz", "headers": [], "query_string": b""}, send, send
    )
    assert statuses[0] == 200


async def test_a_push_path_with_its_own_token_does_not_ask_for_the_gateways() -> None:
    pushes = [PushRoute("/push/own", "f", "images", token="theirs"), PushRoute("/push/none", "f", "images")]
    body = {"message": {"messageId": "1"}}
    async with Parts(token="ours", pushes=pushes).client() as client:
        assert (await client.post("/push/own?token=theirs", json=body)).status_code == 204
        assert (await client.post("/push/own", json=body, headers={"authorization": "Bearer ours"})).status_code == 401
        assert (await client.post("/push/none", json=body)).status_code == 401
        ours = {"authorization": "Bearer ours"}
        assert (await client.post("/push/none", json=body, headers=ours)).status_code == 204
