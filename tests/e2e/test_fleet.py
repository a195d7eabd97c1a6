"""One project on several machines, with nothing in common but a broker and a database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fleet_parts import BROKERS, Fleet, apart, results, schema, until_accepted, until_ready
from needs import needs

from tests.services import service
from tests.services.nats import Nats
from tests.services.rabbitmq import Rabbitmq
from tests.services.redis import Redis
from tests.services.server import Server

pytestmark = pytest.mark.timeout(240)

_MESSAGES = 400


@pytest.fixture(params=BROKERS)
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path, apart(service(request.param)), schema(service("postgres"))) as fleet:
        yield fleet


def test_a_worker_that_is_killed_loses_nothing_and_no_effect_comes_twice(fleet: Fleet) -> None:
    gateway = fleet.start("front", "gateway")
    doomed, steady = fleet.start("one", "worker"), fleet.start("two", "worker")
    for worker in (doomed, steady):
        worker.until("classify is ready")
    lines = "\n".join(json.dumps({"image": f"{number}.png"}) for number in range(_MESSAGES))
    with gateway.client() as client:
        answer = client.post("/images", content=lines, headers={"content-type": "application/x-ndjson"})
        assert answer.status_code == 202, answer.text
        ids = answer.json()["ids"]
        results(client, ids[:40])
        doomed.kill()
        records = results(client, ids)
    assert [record["state"] for record in records] == ["done"] * _MESSAGES
    assert [record["value"]["image"] for record in records] == [f"{number}.png" for number in range(_MESSAGES)]
    # Each run of a function answers with a number of its own: row, record and output are of one run.
    rows = {row["id"]: row for row in json.loads(fleet.ask("front", "table", "export", "rows"))}
    assert {id: row["run"] for id, row in rows.items()} == {each["id"]: each["value"]["run"] for each in records}
    outputs = [f"{id}.classify.1" for id in ids]
    with gateway.client() as client:
        assert {each["state"] for each in results(client, outputs)} == {"done"}
    tallies = {row["id"]: row["run"] for row in json.loads(fleet.ask("two", "table", "export", "tallies"))}
    assert tallies == {f"{id}.classify.1": row["run"] for id, row in rows.items()}
    assert (gateway.stop(), steady.stop()) == (0, 0)


def test_results_and_keys_are_known_at_every_gateway(fleet: Fleet) -> None:
    gateways = [fleet.start(name, "gateway") for name in ("front", "side")]
    fleet.start("one", "worker", "-F", "classify").until("classify is ready")
    key = {"idempotency-key": "order-1"}
    with gateways[0].client() as front, gateways[1].client() as side:
        first = front.post("/images", json={"image": "a.png"}, headers={**key, "prefer": "wait=30"})
        assert first.status_code == 200, first.text
        again = side.post("/images", json={"image": "a.png"}, headers={**key, "prefer": "wait=30"})
        assert again.json() == first.json()
        assert side.get(f"/results/{first.json()['id']}").json() == first.json()
    assert json.loads(fleet.ask("two", "result", first.json()["id"], "--json"))[0]["value"] == first.json()["value"]


def test_a_handler_is_called_wherever_it_runs(fleet: Fleet) -> None:
    gateway, worker = fleet.start("front", "gateway"), fleet.start("one", "worker", "-F", "hello")
    worker.until("hello is ready")
    with gateway.client() as client:
        answer = client.get("/hello/rex")
        assert (answer.status_code, answer.json()) == (200, {"name": "rex", "pid": worker.pid})
        assert worker.stop() == 0
        fleet.start("two", "worker", "-F", "hello").until("hello is ready")
        assert client.get("/hello/rex").status_code == 200


def test_a_queue_moves_from_one_broker_to_another_and_on(fleet: Fleet) -> None:
    sent = [fleet.ask("front", "send", "images", json.dumps({"image": f"{number}.png"})).strip() for number in range(3)]
    here = fleet.environment["MILLRACE_BROKER"]
    there = f"{here}on."  # under another prefix: another broker, as far as anyone can tell
    moved = fleet.ask("front", "move-queue", "images", "--to", "embedded", "--json")
    assert json.loads(moved)["messages"] == 3
    waiting = json.loads(fleet.ask("front", "peek", "images", "--broker", "embedded", "--json"))
    assert [each["id"] for each in waiting] == sent
    back = fleet.ask("front", "move-queue", "images", "--from", "embedded", "--to", there, "--json")
    assert json.loads(back)["messages"] == 3
    fleet.environment["MILLRACE_BROKER"] = there
    gateway = fleet.start("front", "gateway")
    fleet.start("one", "worker").until("classify is ready")
    with gateway.client() as client:
        assert {each["state"] for each in results(client, sent)} == {"done"}


@pytest.mark.parametrize("server", [Redis({"appendonly": "yes"}), Nats(), Rabbitmq()], ids=BROKERS)
def test_a_broker_that_goes_and_comes_again(server: Server, tmp_path: Path) -> None:
    needs(server.package, server.program())
    with server:
        url = apart(server.start(tmp_path))
        with Fleet(tmp_path, url, schema(service("postgres"))) as fleet:
            gateway, worker = fleet.start("front", "gateway"), fleet.start("one", "worker")
            worker.until("classify is ready")
            with gateway.client() as client:
                first = client.post("/images", json={"image": "a.png"}, headers={"prefer": "wait=30"})
                assert first.json()["state"] == "done", first.text
                if isinstance(server, Rabbitmq):
                    server.keep_names()
                server.kill()
                refused = client.post("/images", json={"image": "b.png"})
                assert (refused.status_code, refused.json()["type"]) == (503, "urn:millrace:problem:broker-unavailable")
                assert int(refused.headers["retry-after"]) > 0
                until_ready(client, 503)
                late = fleet.start("two", "gateway")
                url = late.until(r"until then (http://\S+) answers 503")[1]
                assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 503
                told = fleet.fails("three", "queues")
                assert f"127.0.0.1:{server.port}" in told
                assert "Traceback" not in told
                server.restart()
                late.until("listening on")
                until_ready(client, 200)
                accepted = until_accepted(client, "/images", {"image": "c.png"})
                assert results(client, [accepted])[0]["state"] == "done"
            assert (gateway.stop(), late.stop(), worker.stop()) == (0, 0, 0)
