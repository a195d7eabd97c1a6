"""What is where: unknown paths and wrong methods are told what there is; the gateway describes itself."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from gateway_parts import ROUTES, Parts, done, problem

from millrace.errors import MillraceError
from millrace.source import HttpRequest
from millrace.sources.http import PushRoute, Readiness, Route


async def test_an_unknown_path_is_told_with_its_likeness() -> None:
    async with Parts().client() as client:
        told = problem(await client.post("/image", content=b"x"), 404, "no-such-path")
        far = problem(await client.get("/" + "x" * 5000), 404, "no-such-path")
        problem(await client.post("/images%0a", content=b"x"), 404, "no-such-path")
    assert "Did you mean /images?" in told["detail"]
    assert "/images" in told["known"]
    assert "/results/{id}" in told["known"]
    assert len(far["detail"]) < 300


async def test_a_wrong_method_is_told_the_right_ones() -> None:
    async with Parts().client() as client:
        response = await client.get("/images")
        told = problem(response, 405, "wrong-method")
        assert response.headers["allow"] == told["expected"] == "POST"
        assert told["got"] == "GET"
        assert (await client.post("/healthz")).headers["allow"] == "GET, HEAD"


async def test_head_is_get_without_the_body() -> None:
    async with Parts().client() as client:
        assert (await client.head("/healthz")).status_code == 200


async def test_the_most_exact_path_answers() -> None:
    paths = ["/a/{rest+}", "/a/{x}/c", "/a/{x}", "/a/b", "/a/b/c"]
    routes = [Route("POST", path, path, "images", "model") for path in paths]
    parts = Parts(routes=routes, answer=lambda put: done(put))
    asked = {"/a/b": {}, "/a/z": {"x": "z"}, "/a/b/c": {}, "/a/z/c": {"x": "z"}, "/a/z/d/e": {"rest": "z/d/e"}}
    async with parts.client() as client:
        for path in asked:
            await client.post(path, content=b"x", headers={"content-type": "a/b"})
    assert [message.attributes for message in parts.broker.messages] == [
        {**attributes, "content-type": "a/b"} for attributes in asked.values()
    ]


async def test_the_default_path_takes_what_no_other_takes() -> None:
    routes = [
        Route("GET", "/pets/{id}", "pets", "calls", "handler"),
        Route("ANY", "$default", "rest", "calls", "handler"),
    ]
    parts = Parts(routes=routes, answer=lambda put: done(put, {"statusCode": 204}))
    asked = [("GET", "/pets/7"), ("POST", "/pets/7"), ("GET", "/"), ("PUT", "/a/b"), ("POST", "/healthz")]
    async with parts.client() as client:
        found = [(await client.request(method, path)).status_code for method, path in asked]
        assert "$default" not in (await client.get("/openapi.json")).json()["paths"]
    assert found == [204, 204, 204, 204, 405]  # the gateway's own open path is no way around its token
    events = [msgspec.json.decode(message.body, type=HttpRequest) for message in parts.memory.messages]
    assert [(event.route, event.path, event.path_parameters) for event in events] == [
        ("/pets/{id}", "/pets/7", {"id": "7"}),
        ("$default", "/pets/7", {}),
        ("$default", "/", {}),
        ("$default", "/a/b", {}),
    ]


@pytest.mark.parametrize(
    "path", ["images", "/a/{b", "/a}", "/{}", "/{a+}/b", "/{a:int}", "/{1}", "/{a}/{a}", "/{a+}{b+}"]
)
def test_a_path_that_cannot_be_is_refused_at_start(path: str) -> None:
    with pytest.raises(MillraceError, match=r"path|name"):
        Parts(routes=[Route("POST", path, "f", "images", "model")])


@pytest.mark.parametrize(
    "routes",
    [
        [Route("GET", "/healthz", "f", "images", "model")],
        [Route("POST", "/a", "f", "images", "model"), Route("POST", "/a", "g", "images", "handler")],
    ],
)
def test_two_things_on_one_path_are_refused_at_start(routes: list[Route]) -> None:
    with pytest.raises(MillraceError, match="Two things answer"):
        Parts(routes=routes)


async def test_the_index_says_what_is_here() -> None:
    async with Parts().client() as client:
        told = (await client.get("/")).json()
    assert told["service"] == "pets"
    assert {"/images", "/openapi.json", "/readyz"} <= set(told["paths"])


async def test_a_function_may_take_the_index_place() -> None:
    parts = Parts(routes=[Route("GET", "/", "home", "home", "handler")], answer=lambda put: done(put, "mine"))
    async with parts.client() as client:
        assert (await client.get("/")).text == "mine"


async def test_readyz_says_who_is_not_ready_and_why() -> None:
    parts = Parts()
    async with parts.client() as client:
        ready = await client.get("/readyz")
        parts.ready = Readiness(False, {"classify": {"state": "failed", "why": "ModuleNotFoundError: torch"}})
        told = problem(await client.get("/readyz"), 503, "not-ready")
        parts.is_draining = True
        problem(await client.get("/readyz"), 503, "draining")
        assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert ready.json() == {"status": "ready", "details": {"classify": {"state": "ready"}}}
    assert told["details"]["classify"]["why"] == "ModuleNotFoundError: torch"


async def test_requests_are_counted_by_route_and_status() -> None:
    parts = Parts()
    async with parts.client() as client:
        await client.post("/pets/rex/images", content=b"x")
        await client.post("/images", content=b"{", headers={"content-type": "application/json"})
        await client.get("/nowhere")
        await client.request("BREW", "/images")
        response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    for method, route, status in (
        ("POST", "/pets/{pet}/images", 202),
        ("POST", "/images", 400),
        ("GET", "", 404),
        ("other", "/images", 405),
    ):
        line = f'millrace_http_requests_total{{method="{method}",route="{route}",status="{status}"}} 1.0'
        assert line in response.text


async def test_only_http_is_served() -> None:
    with pytest.raises(RuntimeError, match="websocket"):
        await Parts().app({"type": "websocket"}, None, None)  # type: ignore[arg-type]


PUSHES = [PushRoute("/push/own", "f", "images", token="t"), PushRoute("/push/open", "f", "images")]


async def described(**settings: Any) -> Any:
    routes = [*ROUTES, Route("POST", "/files/{kind}/{rest+}", "files", "images", "model")]
    parts = Parts(routes=routes, pushes=PUSHES, **settings)
    async with parts.client(headers={"authorization": "Bearer secret"}) as client:
        return (await client.get("/openapi.json")).json()


async def test_openapi_describes_the_projects_own_paths() -> None:
    document = await described()
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "pets"
    assert "security" not in document
    classify = document["paths"]["/images"]["post"]
    assert classify["summary"] == "Classify a picture"
    assert {"application/json", "application/x-ndjson", "multipart/form-data"} <= set(
        classify["requestBody"]["content"]
    )
    assert {"200", "202", "default"} == set(classify["responses"])
    assert set(document["paths"]["/hello/{name}"]) == {"parameters", "get", "post", "put", "patch", "delete"}
    assert document["paths"]["/queues/{name}"]["parameters"][0]["schema"] == {"enum": ["images", "labels"]}


async def test_openapi_without_queues_has_no_path_for_them() -> None:
    async with Parts(queues=(), routes=()).client() as client:
        assert "/queues/{name}" not in (await client.get("/openapi.json")).json()["paths"]


async def test_openapi_says_where_a_token_is_needed() -> None:
    document = await described(token="secret")
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert document["paths"]["/push/own"]["post"]["security"] == []
    assert "security" not in document["paths"]["/push/open"]["post"]


async def test_openapi_is_consistent() -> None:
    document = await described()
    operations = [
        operation for item in document["paths"].values() for name, operation in item.items() if name != "parameters"
    ]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert all(response["description"] for operation in operations for response in operation["responses"].values())
    for path, item in document["paths"].items():
        declared = [parameter["name"] for parameter in item.get("parameters", ())]
        assert re.findall(r"\{(\w+)\}", path) == declared
    references = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document)))
    assert references == set(document["components"]["schemas"])
