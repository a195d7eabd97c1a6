from __future__ import annotations

from typing import Any

import pytest

from millrace.config.check import check
from millrace.config.circles import circles
from millrace.config.limits import check_limits
from millrace.config.schema import Project


def project(**sections: Any) -> Project:
    return Project.model_validate({"service": "x", **sections})


def function(**settings: Any) -> dict[str, Any]:
    return {"model": "app.Model", "events": [{"http": "POST /f"}], **settings}


def errors(**sections: Any) -> list[tuple[str, str]]:
    found = [each for each in check(project(**sections)) if each.severity == "error"]
    return [(".".join(map(str, each.path)), f"{each.what}|{each.expected}|{each.got}|{each.near}") for each in found]


def warnings(found: list[Any]) -> list[str]:
    return [each.what for each in found if each.severity == "warning"]


def test_a_sound_project_has_no_findings() -> None:
    sound = project(
        queues={"images": {"lease": 60.0}, "labels": {}},
        tables={"rows": {}},
        buckets={"lake": {"url": "s3://b/p"}},
        functions={
            "classify": function(
                events=[{"queue": "images"}, {"http": "POST /images/{id}"}, {"schedule": "cron(0 3 * * ? *)"}],
                timeout=60.0,
                to=[
                    {"table": "rows"},
                    {"queue": "labels"},
                    {"bucket": "lake/{date}/{id}.json"},
                    {"webhook": "https://a/b"},
                    {"queue": "tell"},
                ],
            ),
            "tell": {"handler": "src/app.main", "events": [{"http": "ANY /rest/{rest+}"}, {"push": "/push/box"}]},
            "seen": {"handler": "a.b.c", "events": [{"bucket": "lake/in/*.jpg"}, {"table": "rows"}]},
        },
    )
    assert check(sound, 10**9) == []


@pytest.mark.parametrize("section", ["queues", "functions", "stages"])
def test_names(section: str) -> None:
    value: dict[str, Any] = function() if section == "functions" else {}
    assert errors(**{section: {"a b": value}})[0] == (
        f"{section}.a b",
        "a name that millrace cannot use|letters, digits, - and _, at most 80|'a b'|",
    )
    assert errors(**{section: {"a.dead": value}})[0][1] == "the name 'a.dead' is taken: .dead marks dead letters|||"


def test_unknown_references() -> None:
    found = errors(
        queues={"images": {}},
        tables={"rows": {}},
        functions={
            "f": function(
                events=[{"queue": "imgaes"}, {"table": "row"}, {"bucket": "lake/*.jpg"}, {"queue": "images.dead"}],
                to=[{"table": "zzz"}, {"queue": "image"}, {"bucket": "lake/{id}"}],
            )
        },
    )
    assert found == [
        ("functions.f.events.0.queue", "unknown queue 'imgaes'|images||'images'"),
        ("functions.f.events.1.table", "unknown table 'row'|rows||'rows'"),
        ("functions.f.events.2.bucket", "unknown bucket 'lake'|a bucket declared under `buckets`||"),
        (
            "functions.f.events.3.queue",
            "dead letters trigger no function|a queue (see `millrace dead list images`)|images.dead|",
        ),
        ("functions.f.to.0.table", "unknown table 'zzz'|rows||"),
        ("functions.f.to.1.queue", "unknown queue 'image'|images||'images'"),
        ("functions.f.to.2.bucket", "unknown bucket 'lake'|a bucket declared under `buckets`||"),
    ]


def test_exactly_one_of() -> None:
    found = errors(
        tables={"t": {}},
        queues={"q": {}},
        functions={
            "both": {"model": "a.B", "handler": "a.c", "events": [{"queue": "q"}]},
            "clasify": {"events": [{"queue": "q"}]},
            "classify": function(to=[{"table": "t", "queue": "q"}, {}]),
        },
    )
    assert found == [
        ("functions.both", "functions.both|exactly one of model, handler, wsgi|model and handler|"),
        ("functions.clasify", "functions.clasify|exactly one of model, handler, wsgi|neither|'classify'"),
        ("functions.classify.to.0", "a sink|exactly one of table, queue, bucket, webhook|table and queue|"),
        ("functions.classify.to.1", "a sink|exactly one of table, queue, bucket, webhook|none|"),
    ]


@pytest.mark.parametrize("target", ["app", "app.", ".x", "1app.x", "a b.c", ""])
def test_targets_that_name_nothing(target: str) -> None:
    assert errors(functions={"f": function(model=target)}) == [
        ("functions.f.model", f"functions.f.model|module.name such as app.PetClassifier|{target!r}|")
    ]


@pytest.mark.parametrize("target", ["app:Model", "app.py:Model", "app/Model", "app.py/Model"])
def test_a_target_as_other_tools_write_it_is_told_in_ours(target: str) -> None:
    (found,) = errors(functions={"f": function(model=target)})
    assert found[1].endswith("|'app.Model'")


@pytest.mark.parametrize(
    ("rule", "part"),
    [("rate(5 minuets)", "rate"), ("cron(0 3 * *)", "fields"), ("every day", "fields"), ("cron(61 3 * * ? *)", "61")],
)
def test_schedules_are_read(rule: str, part: str) -> None:
    ((path, text),) = errors(functions={"f": function(events=[{"schedule": rule}])})
    assert path == "functions.f.events.0.schedule"
    assert part in text


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("lake", "a key template is missing behind the bucket"),
        ("lake/a//{id}", "a key has no empty, `.` or `..` parts"),
        ("lake/../{id}", "a key has no empty, `.` or `..` parts"),
        ("lake/{id", "the key template does not parse"),
        ("lake/{nope}", "unknown field {nope}"),
        ("lake/{id.x}", "unknown field {id.x}"),
        ("lake/{id!r}", "unknown field {id!r}"),
        ("lake/{id:>9}", "unknown field {id:>9}"),
        ("lake/{}", "unknown field {}"),
    ],
)
def test_key_templates(target: str, problem: str) -> None:
    ((path, text),) = errors(buckets={"lake": {"url": "x"}}, functions={"f": function(to=[{"bucket": target}])})
    assert path == "functions.f.to.0.bucket"
    assert text.startswith(problem)


def test_a_key_without_an_id_overwrites() -> None:
    found = check(project(buckets={"lake": {"url": "x"}}, functions={"f": function(to=[{"bucket": "lake/{date}"}])}))
    assert warnings(found) == ["the key template has no {id}, so results overwrite one another"]


@pytest.mark.parametrize("url", [".", "./", ".millrace", ".millrace/buckets/..", "lake/.."])
def test_no_bucket_holds_the_projects_own_files(url: str) -> None:
    ((path, text),) = errors(buckets={"lake": {"url": url}})
    assert (path, "own files" in text) == ("buckets.lake.url", True)
    assert not errors(buckets={"lake": {"url": ".millrace/buckets/lake"}, "data": {"url": "../data"}})


@pytest.mark.parametrize("url", ["ftp://x", "http://x/y", "file:///x"])
def test_kinds_of_buckets(url: str) -> None:
    ((path, text),) = errors(buckets={"lake": {"url": url}})
    assert path == "buckets.lake.url"
    assert "one of s3, gs, az, memory" in text


@pytest.mark.parametrize("url", ["ftp://x", "https://", "//x", "x"])
def test_webhooks(url: str) -> None:
    assert errors(functions={"f": function(to=[{"webhook": url}])}) == [
        ("functions.f.to.0.webhook", f"a webhook|an http:// or https:// URL|{url!r}|")
    ]


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        ("POST images", "a path begins with /"),
        ("POST /a b", "a path cannot have the part 'a b'"),
        ("POST /a//b", "a path cannot have the part ''"),
        ("POST /a/../b", "a path cannot have the part '..'"),
        ("POST /{id}/{id}", "a path names a parameter twice"),
        ("POST /{rest+}/x", "a path cannot have the part '{rest+}'"),
        ("POST /x{id}", "a path cannot have the part 'x{id}'"),
        ("POST /readyz", "/readyz is millrace's own"),
        ("POST /results/x", "/results is millrace's own"),
        ("PSOT /x", "unknown HTTP method"),
    ],
)
def test_routes(route: str, problem: str) -> None:
    ((_, text),) = errors(functions={"f": function(events=[{"http": route}])})
    assert text.startswith(problem)


@pytest.mark.parametrize("route", ["GET /", "GET /a", "GET /a/{id}", "ANY /{rest+}", "GET /a.b/c-d_~/%20@:+"])
def test_sound_routes(route: str) -> None:
    assert errors(functions={"f": function(events=[{"http": route}])}) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"http": "POST /a"}, {"http": "POST /a"}),
        ({"http": "ANY /a"}, {"http": "GET /a"}),
        ({"http": "GET /a/{id}"}, {"http": "GET /a/{name}"}),
        ({"http": "POST /a"}, {"push": "/a"}),
    ],
)
def test_each_path_once(one: dict[str, str], other: dict[str, str]) -> None:
    ((path, text),) = errors(functions={"f": function(events=[one]), "g": function(events=[other])})
    assert path.startswith("functions.g.events.0")
    assert "is already a path of functions.f" in text


def test_the_same_path_with_other_methods() -> None:
    events = [{"http": "POST /a"}, {"http": "GET /a"}]
    assert errors(functions={"f": function(events=events)}) == []


def test_a_timeout_that_outlasts_the_lease() -> None:
    assert errors(
        queues={"q": {"lease": "30s"}}, functions={"f": function(events=[{"queue": "q"}], timeout="90s")}
    ) == [
        (
            "functions.f.timeout",
            "functions.f: its timeout of 90s is longer than the 30s lease of queue 'q'"
            "|timeout: 30s or less, or queues.q.lease: 90s or more||",
        )
    ]


def test_api_gateway_waits_for_nobody_longer_than_half_a_minute() -> None:
    slow = {"handler": "app.f", "timeout": "60s", "events": [{"http": "GET /x"}]}
    (found,) = [each for each in check(project(functions={"f": slow}, aws={})) if "504" in each.what]
    assert (found.path, found.got, found.severity) == (("functions", "f", "timeout"), "1m", "warning")
    assert not [each for each in check(project(functions={"f": slow})) if "504" in each.what]
    assert not [
        each for each in check(project(functions={"f": {**slow, "timeout": "30s"}}, aws={})) if "504" in each.what
    ]


def test_an_undeclared_inbox_has_a_lease_that_lasts() -> None:
    assert errors(functions={"f": function(timeout="10m")}) == []


def test_limits_are_not_compared_in_what_is_incomplete() -> None:
    given = project(queues={"q": {"lease": 1}}, functions={"f": function(events=[{"queue": "q"}])})
    assert check(given, complete=False) == []


def test_batches_that_wait_as_long_as_leases_last() -> None:
    given = project(
        queues={"q": {"lease": 30}}, functions={"f": function(events=[{"queue": "q"}], batch={"wait": "30s"})}
    )
    assert warnings(check(given)) == ["functions.f: batches wait 30s, as long as leases last"]


def test_memory_beyond_the_machine() -> None:
    given = project(
        functions={
            "f": function(replicas=8, memory="1GB"),
            "g": function(events=[{"http": "GET /g"}], replicas=2, memory="500MB"),
            "h": function(events=[{"http": "GET /h"}]),
        }
    )
    (found,) = check_limits(given, 8 * 10**9)
    assert found.severity == "warning"
    assert found.path == ("functions", "f", "memory")
    assert found.what == "replicas may take 8 x 1GB (f) + 2 x 500MB (g) = 9GB; this machine has 8GB"
    assert list(check_limits(given, 9 * 10**9)) == []
    assert list(check_limits(given, None)) == []


def test_an_inbox_that_feeds_two() -> None:
    found = errors(queues={"g": {}}, functions={"f": function(events=[{"queue": "g"}]), "g": function()})
    assert found[0] == (
        "functions.g",
        "the queue 'g' is the inbox of functions.g, and functions.f takes from it too"
        "|another name for the function or the queue||",
    )


def test_a_type_that_is_to_retry_and_to_die() -> None:
    assert errors(functions={"f": function(retry_on=["OSError"], dead_on=["ValueError", "OSError"])}) == [
        ("functions.f.dead_on.1", "OSError stands under retry_on and under dead_on|it under one of them||")
    ]


def test_functions_without_events() -> None:
    given = project(functions={"f": function(events=[]), "g": function(to=[{"queue": "h"}]), "h": function(events=[])})
    assert warnings(check(given)) == ["functions.f has no events"]


def test_functions_as_on_aws_are_called_without_events() -> None:
    given = project(functions={"f": {"handler": "app.main", "asynchronous": {}}}, aws={})
    assert warnings(check(given)) == []


def test_circles() -> None:
    given = project(
        queues={"a": {}, "b": {}},
        tables={"t": {}},
        buckets={"lake": {"url": "x"}},
        functions={
            "one": function(events=[{"queue": "a"}], to=[{"queue": "b"}]),
            "two": function(events=[{"queue": "b"}], to=[{"queue": "a"}, {"table": "t"}]),
            "rows": function(events=[{"table": "t"}], to=[{"table": "t"}]),
            "objects": function(
                events=[{"bucket": "lake/in/*.jpg"}], to=[{"bucket": "lake/out/{id}"}, {"bucket": "lake/{id}.jpg"}]
            ),
            "gone": function(events=[{"bucket": "lake", "on": "removed"}], to=[{"bucket": "lake/{id}"}]),
            "end": function(events=[{"http": "GET /end"}], to=[{"webhook": "http://x/"}]),
        },
    )
    assert [(each.path[1], each.what.split(": ")[1]) for each in circles(given)] == [
        ("one", "one → two → one"),
        ("two", "two → one → two"),
        ("rows", "rows → rows"),
        ("objects", "objects → objects"),
    ]


def results_warnings(*events: dict[str, str], kind: str = "handler", **sections: Any) -> list[str]:
    about = {kind: "app.main", "events": list(events), "to": [{"table": "rows"}]}
    functions = {"f": about, **sections.pop("functions", {})}
    found = check(project(queues={"q": {}}, tables={"rows": {}, "t": {}}, functions=functions, **sections))
    assert {each.path for each in found} <= {("functions", "f", "to")}
    return warnings(found)


def test_a_handler_behind_http_alone_has_nothing_for_its_sinks() -> None:
    (warning,) = results_warnings({"http": "GET /a"}, {"http": "POST /a"})
    assert warning.endswith("http events alone, whose answers go to the caller and never to `to:`")
    assert results_warnings({"http": "GET /a"}, {"schedule": "rate(1 hour)"}) == []
    assert results_warnings({"http": "GET /a"}, kind="model") == []


@pytest.mark.parametrize("event", [{"queue": "q"}, {"table": "t"}])
def test_a_handler_of_records_has_nothing_for_its_sinks(event: dict[str, str]) -> None:
    (warning,) = results_warnings(event, {"http": "GET /a"})
    assert warning.endswith("which have no result of their own: `to:` writes null for each")
    assert results_warnings(event, kind="model") == []


def test_a_handler_that_others_results_go_to_gets_records_too() -> None:
    feeding = {"model": "app.Model", "events": [{"queue": "q"}], "to": [{"queue": "f"}]}
    assert len(results_warnings({"schedule": "rate(1 hour)"}, functions={"g": feeding})) == 1


def test_names_as_aws_has_them() -> None:
    sound = project(
        queues={"jobs.fifo": {"fifo": True}, "_late": {}},
        tables={"shop.orders-2024": {}, "t" * 255: {}},
        buckets={"www.example.com": {"url": "x"}},
        topics={"news.fifo": {"fifo": True}, "n" * 256: {}},
    )
    assert check(sound) == []


@pytest.mark.parametrize(
    ("section", "name", "expected"),
    [
        ("queues", "jobs.fifo", ".fifo at the end of queues with `fifo: true` alone"),
        ("queues", "a.b", "letters, digits, - and _, at most 80"),
        ("topics", "news.fifo", ".fifo at the end of topics with `fifo: true` alone"),
        ("topics", "a.b", "letters, digits, - and _, at most 256"),
        ("tables", "a b", "letters, digits, -, _ and ., at most 255"),
        ("tables", "t" * 256, "letters, digits, -, _ and ., at most 255"),
        ("functions", "f.g", "letters, digits, - and _, at most 80"),
    ],
)
def test_names_that_aws_has_not(section: str, name: str, expected: str) -> None:
    value: dict[str, Any] = function() if section == "functions" else {}
    found = check(project(**{section: {name: value}}))
    assert [each.expected for each in found if each.severity == "error"] == [expected]


@pytest.mark.parametrize("root", ["..", "../other", "/etc", "a/../../b", "C:\\x"])
def test_code_lies_below_the_project(root: str) -> None:
    found = check(project(functions={"f": function(root=root)}))
    assert [each.expected for each in found if each.severity == "error"] == ["a folder below the project's"]


def test_a_lease_is_named_in_the_words_of_sqs_where_aws_is_spoken() -> None:
    slow = {"q": {"lease": 30}}, {"f": function(timeout=60, events=[{"queue": "q"}])}
    (found,) = check(project(queues=slow[0], functions=slow[1], aws={}))
    assert found.expected == "timeout: 30s or less, or queues.q.lease (SQS: VisibilityTimeout): 1m or more"
