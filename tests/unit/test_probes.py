"""The worker's health port: yes or no for everybody, why not for those who may know."""

from __future__ import annotations

import httpx
import pytest

from millrace.app.health import address_of
from millrace.clock import SystemClock
from millrace.errors import ConfigError
from millrace.sources.http import Readiness
from millrace.sources.http.probes import create_probes
from millrace.telemetry import Telemetry

DETAILS = {"functions": {"classify": {"failure": {"message": "no weights"}}}}


def client(host: str, token: str | None, *, ready: bool = False, draining: bool = False) -> httpx.AsyncClient:
    app = create_probes(
        host=host,
        token=token,
        telemetry=Telemetry(),
        readiness=lambda: Readiness(ready, DETAILS),
        draining=lambda: draining,
        clock=SystemClock(),
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{host}")


async def test_a_probe_by_address_gets_yes_or_no_and_nothing_more() -> None:
    async with client("10.0.0.7", None) as probe:
        assert (await probe.get("/healthz")).status_code == 200
        refused = await probe.get("/readyz")
        assert refused.status_code == 503
        assert "classify" not in refused.text
        assert (await probe.get("/metrics")).status_code == 401
        assert (await probe.get("/queues/images")).status_code == 401
    async with client("10.0.0.7", None, ready=True) as probe:
        assert (await probe.get("/readyz")).json() == {"status": "ready"}
    async with client("10.0.0.7", None, ready=True, draining=True) as probe:
        assert (await probe.get("/readyz")).status_code == 503


@pytest.mark.parametrize(("host", "token"), [("10.0.0.7", "secret"), ("127.0.0.1", None)])
async def test_the_token_or_loopback_learns_why_not(host: str, token: str | None) -> None:
    async with client(host, token) as probe:
        probe.headers["authorization"] = "Bearer secret"
        assert (await probe.get("/readyz")).json()["details"] == DETAILS
        assert (await probe.get("/metrics")).status_code == 200
        assert (await probe.post("/queues/images")).status_code == 404


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8401", ("127.0.0.1", 8401)),
        (":8401", ("127.0.0.1", 8401)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::]:8401", ("::", 8401)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "http", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:²"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError, match="--health"):
        address_of(text)
