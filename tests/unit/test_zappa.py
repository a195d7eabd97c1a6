"""zappa_settings in its three languages: stages, the application, events of every source, variables, what is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from millrace.config.load import Examination
from millrace.config.schema import Project
from millrace.formats.load import examine
from millrace.formats.zappa.keys import ZAPPA_CORS_KEYS, ZAPPA_EVENT_KEYS, ZAPPA_KEYS, ZAPPA_SOURCE_KEYS
from millrace.formats.zappa.stage import slug

APP = "def app(environ, start): ...\ndef process(event, context): ...\ndef nightly(): ...\n"
ARN = "arn:aws:sqs:eu-west-1:123456789012:images"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "My_Project"
    (folder / "api").mkdir(parents=True)
    (folder / "api" / "app.py").write_text(APP)
    monkeypatch.chdir(folder)
    return folder


def read(folder: Path, stages: Any, stage: str | None = None) -> Examination:
    text = stages if isinstance(stages, str) else json.dumps(stages, indent=1)
    (folder / "zappa_settings.json").write_text(text)
    return examine(folder, stage=stage)


def loaded(folder: Path, settings: dict[str, Any]) -> Project:
    found = read(folder, {"dev": settings})
    assert found.faults == []
    assert found.project is not None
    return found.project


def event(folder: Path, source: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What one event becomes, less what is as if left out."""
    project = loaded(folder, {"events": [{"function": "api.app.process", "event_source": source, **more}]})
    (made,) = project.functions["process"].events
    return made.model_dump(exclude_defaults=True)


def told(found: Examination) -> list[str]:
    return [str(fault).removeprefix("zappa_settings.json:") for fault in [*found.faults, *found.warnings]]


def test_an_application_is_served_at_every_path(folder: Path) -> None:
    project = loaded(folder, {"app_function": "api.app.app", "project_name": "serverless-ML", "slim_handler": True})
    assert (project.service, project.stage) == ("serverless-ml", "dev")
    assert project.aws is not None
    app = project.functions["app"]
    assert (app.kind, app.target, app.name) == ("wsgi", "api.app.app", "serverless-ml-dev")
    assert (app.timeout, app.memory) == (30.0, 512 * 2**20)
    assert [(each.method, each.path, each.payload) for each in app.events] == [  # type: ignore[union-attr]
        ("ANY", "/", "v1"),
        ("ANY", "/{proxy+}", "v1"),
    ]
    assert project.environment == {
        "SERVERTYPE": "AWS Lambda",
        "FRAMEWORK": "Zappa",
        "PROJECT": "serverless-ML",
        "STAGE": "dev",
        "AWS_LAMBDA_LOG_LEVEL": "INFO",
    }


def test_what_is_logged_is_shown_from_the_level_that_zappa_would_set(folder: Path) -> None:
    project = loaded(folder, {"app_function": "api.app.app", "log_level": "warning"})
    assert project.environment["AWS_LAMBDA_LOG_LEVEL"] == "WARNING"
    given = {"AWS_LAMBDA_LOG_LEVEL": "ERROR"}
    project = loaded(folder, {"app_function": "api.app.app", "log_level": "INFO", "environment_variables": given})
    assert project.environment == project.environment | given


def test_numbers_region_and_the_names_of_a_folder(folder: Path) -> None:
    settings = {"app_function": "api.app.app", "timeout_seconds": 20, "memory_size": 1024, "aws_region": "eu-west-1"}
    project = loaded(folder, settings)
    assert project.functions["app"].timeout == 20.0
    assert project.functions["app"].memory == 2**30
    assert project.service == "my-project"
    assert project.aws is not None
    assert project.aws.region == "eu-west-1"
    assert slug("Größe--x_y") == "gr-e-x-y"


def test_no_gateway_no_path(folder: Path) -> None:
    assert loaded(folder, {"app_function": "api.app.app", "apigateway_enabled": False}).functions["app"].events == []


def test_keys_and_cors(folder: Path) -> None:
    cors = {"allowed_origin": "https://a.example", "allowed_headers": ["X-A"], "allowed_methods": ["GET"]}
    project = loaded(folder, {"app_function": "api.app.app", "api_key_required": True, "cors": cors})
    assert project.gateway.api_keys == {"my-project-dev": None}
    for each in project.functions["app"].events:
        assert each.http.key  # type: ignore[union-attr]
        assert each.http.cors.origins == ["https://a.example"]  # type: ignore[union-attr]
    plain = loaded(folder, {"app_function": "api.app.app", "cors": True}).functions["app"].events[0]
    assert plain.http.cors.origins == ["*"]  # type: ignore[union-attr]
    without = loaded(folder, {"app_function": "api.app.app", "cors": False}).functions["app"].events[0]
    assert without.http.cors is None  # type: ignore[union-attr]


def test_the_variables_and_which_is_the_stronger(folder: Path) -> None:
    both = {"A": "lambda", "B": "lambda", "N": 4}
    settings = {"aws_environment_variables": both, "environment_variables": {"B": "app", "STAGE": "other"}}
    project = loaded(folder, {"app_function": "api.app.app", **settings})
    assert {name: project.environment[name] for name in ("A", "B", "N", "STAGE")} == {
        "A": "lambda",
        "B": "app",
        "N": "4",
        "STAGE": "other",
    }


def test_a_secret_that_only_the_application_gets_is_worth_a_hint(folder: Path) -> None:
    settings = {
        "app_function": "api.app.app",
        "environment_variables": {"GOOGLE_CLIENT_SECRET": "hush", "API_KEY": "hush", "code_env": "prod"},
        "aws_environment_variables": {"API_KEY": "hush"},
    }
    (warning,) = told(read(folder, {"dev": settings}))
    assert warning.startswith("5:4: warning: GOOGLE_CLIENT_SECRET is set for the application alone")
    assert "aws_environment_variables" in warning
    assert "hush" not in warning


def test_a_queue(folder: Path) -> None:
    made = event(folder, {"arn": ARN, "batch_size": 1, "enabled": True})
    assert made == {"queue": "images", "batch": {}, "on_error": "batch", "retry": "lease"}
    project = loaded(
        folder,
        {"timeout_seconds": 29, "events": json.loads((folder / "zappa_settings.json").read_text())["dev"]["events"]},
    )
    assert project.queues["images"].model_dump(exclude_defaults=True) == {"max_receives": None, "ttl": 345600.0}
    assert project.aws is not None
    assert project.aws.account == "123456789012"
    function = project.functions["process"]
    assert (function.handler, function.name) == ("api.app.process", "my-project-dev")
    assert function.asynchronous is not None


def test_a_queue_with_a_window_a_long_timeout_and_an_order(folder: Path) -> None:
    source = {"arn": ARN + ".fifo", "batch_size": 5, "batch_window": 0, "enabled": False}
    settings = {"timeout_seconds": 300, "events": [{"function": "api.app.process", "event_source": source}]}
    project = loaded(folder, settings)
    assert project.queues["images.fifo"].fifo
    assert project.queues["images.fifo"].lease == 300.0
    (made,) = project.functions["process"].events
    assert made.enabled is False  # type: ignore[union-attr]
    assert event(folder, {"arn": ARN, "batch_size": 50, "enabled": True})["batch"] == {"size": 50, "wait": 1.0}


def test_enabled_left_out_is_told(folder: Path) -> None:
    source = {"arn": ARN}
    found = read(folder, {"dev": {"events": [{"function": "api.app.process", "event_source": source}]}})
    assert found.project is not None
    assert "`enabled` is left out" in told(found)[0]
    assert found.project.functions["process"].events[0].enabled is True  # type: ignore[union-attr]


def test_a_bucket(folder: Path) -> None:
    source = {
        "arn": "arn:aws:s3:::my-bucket",
        "events": ["s3:ObjectCreated:*"],
        "key_filters": [{"type": "suffix", "value": ".json"}, {"type": "prefix", "value": "in/"}],
    }
    assert event(folder, source) == {"bucket": "my-bucket/in/**.json"}
    assert event(folder, {"arn": "arn:aws:s3:::my-bucket"}) == {"bucket": "my-bucket"}
    removed = {"arn": "arn:aws:s3:::my-bucket", "events": ["s3:ObjectRemoved:*", "s3:ObjectRemoved:Delete"]}
    assert event(folder, removed) == {"bucket": "my-bucket", "on": "removed"}
    project = loaded(folder, {"events": [{"function": "api.app.process", "event_source": removed}]})
    assert project.buckets["my-bucket"].url == ".millrace/buckets/my-bucket"


def test_a_topic(folder: Path) -> None:
    source = {"arn": "arn:aws:sns:::news", "filters": {"interests": ["python"]}, "events": ["sns:Publish"]}
    assert event(folder, source) == {"topic": "news", "filter": {"interests": ["python"]}}


@pytest.mark.parametrize(
    ("arn", "kind", "warning"),
    [
        ("arn:aws:s3:::my-bucket", "s3:ObjectCreated:*", ""),
        ("arn:aws:sns:::news", "sns:Publish", ""),
        ("arn:aws:s3:::my-bucket", "s3:ObjectCreated:Put", "s3:ObjectCreated:Put is understood in part: any way in"),
    ],
)
def test_only_a_kind_of_change_that_is_not_told_apart_is_doubted(
    folder: Path, arn: str, kind: str, warning: str
) -> None:
    source = {"arn": arn, "events": [kind]}
    found = read(folder, {"dev": {"events": [{"function": "api.app.process", "event_source": source}]}})
    assert found.faults == []
    doubts = [line for line in told(found) if "in part" in line]
    assert (warning in doubts[0]) if warning else doubts == []


def test_a_tables_stream(folder: Path) -> None:
    arn = "arn:aws:dynamodb:us-east-1:1234554:table/Your.Table/stream/2016-05-11T00:00:00.000"
    source = {"arn": arn, "starting_position": "LATEST", "batch_size": 50, "enabled": True}
    made = event(folder, source)
    assert made == {"table": "Your.Table", "on_error": "batch", "batch": {"size": 50}, "start": "latest"}
    found = read(folder, {"dev": {"events": [{"function": "api.app.process", "event_source": source}]}})
    assert any("nothing says what the key of the table Your.Table is" in line for line in told(found))


def test_patterns_and_schedules(folder: Path) -> None:
    pattern = {"source": ["aws.ec2"]}
    events = [
        {"function": "api.app.nightly", "expressions": ["rate(1 day)", "cron(0 3 * * ? *)"], "kwargs": {"a": 1}},
        {"function": "api.app.nightly", "expression": "rate(1 minute)", "enabled": False},
        {"function": "api.app.nightly", "event_pattern": pattern},
        {"function": "api.app.nightly", "event_source": {"event_pattern": pattern}},
    ]
    made = [
        each.model_dump(exclude_defaults=True)
        for each in loaded(folder, {"events": events}).functions["nightly"].events
    ]
    assert made == [
        {"schedule": "rate(1 day)", "input": {"kwargs": {"a": 1}}},
        {"schedule": "cron(0 3 * * ? *)", "input": {"kwargs": {"a": 1}}},
        {"schedule": "rate(1 minute)", "enabled": False},
        {"bus": "default", "pattern": pattern},
        {"bus": "default", "pattern": pattern},
    ]


def test_two_functions_of_one_name(folder: Path) -> None:
    (folder / "jobs.py").write_text("def nightly(): ...\ndef app(): ...\n")
    events = [
        {"function": f"{path}", "expression": "rate(1 day)"} for path in ("api.app.nightly", "jobs.nightly", "jobs.app")
    ]
    project = loaded(folder, {"app_function": "api.app.app", "events": events})
    assert {name: each.target for name, each in project.functions.items()} == {
        "app": "api.app.app",
        "nightly": "api.app.nightly",
        "jobs-nightly": "jobs.nightly",
        "jobs-app": "jobs.app",
    }


@pytest.mark.parametrize(("service", "kind"), [("sqs", "queue"), ("sns", "topic")])
def test_where_events_go_that_were_given_up(folder: Path, service: str, kind: str) -> None:
    project = loaded(folder, {"app_function": "api.app.app", "dead_letter_arn": f"arn:aws:{service}:eu-west-1:1:lost"})
    asynchronous = project.functions["app"].asynchronous
    assert asynchronous is not None
    assert asynchronous.dead_letter is not None
    assert asynchronous.dead_letter.target == (kind, "lost")
    assert "lost" in (project.queues if kind == "queue" else project.topics)


def test_django(folder: Path) -> None:
    (folder / "mysite" / "settings").mkdir(parents=True)
    (folder / "mysite" / "wsgi.py").write_text("application = get_wsgi_application()\n")
    project = loaded(folder, {"django_settings": "mysite.settings.production"})
    assert project.functions["app"].target == "mysite.wsgi.application"
    assert project.environment["DJANGO_SETTINGS_MODULE"] == "mysite.settings.production"
    (fault,) = read(folder, {"dev": {"django_settings": "other.settings"}}).faults
    assert "no wsgi.py beside other.settings" in str(fault)


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("process", "process names no module"),
        ("app.process", "there is no module app in {folder} or the environment"),
        ("api.process", "there is no module api in {folder}"),
    ],
)
def test_a_function_that_resolves_nowhere_is_told_the_path_that_would_work(
    folder: Path, target: str, what: str
) -> None:
    found = read(folder, {"dev": {"events": [{"function": target, "expression": "rate(1 day)"}]}})
    (fault,) = told(found)
    assert fault == (
        f"5:17: events[0].function leads nowhere: {what.format(folder=folder)}; "
        f"did you mean api.app.process (api/app.py:2)?; got {target!r}"
    )


def test_an_application_that_resolves_nowhere(folder: Path) -> None:
    (fault,) = told(read(folder, {"dev": {"app_function": "api.app.application"}}))
    assert "app_function leads nowhere: api/app.py has no application" in fault
    assert "did you mean" not in fault or "api.app.app" in fault


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"events": {}}, "events; expected a list"),
        ({"events": ["x"]}, "events[0]; expected a mapping with a function"),
        ({"events": [{"expression": "rate(1 day)"}]}, "the key 'function' is missing"),
        ({"events": [{"function": "api.app.process"}]}, "has nothing that triggers it"),
        ({"events": [{"function": "api.app.process", "event_source": {}}]}, "the key 'arn' is missing"),
        ({"events": [{"function": "api.app.process", "event_source": {"arn": "images"}}]}, "expected an ARN"),
        ({"events": [{"function": "api.app.process", "expression": "at noon"}]}, "at noon"),
        ({"app_function": 7}, "app_function; expected a dotted path"),
        ({"app_function": "api.app.app", "timeout_seconds": "long"}, "functions.app.timeout"),
        ({"app_function": "api.app.app", "environment_variables": []}, "environment_variables; expected a mapping"),
        ({"app_function": "api.app.app", "dead_letter_arn": "lost"}, "dead_letter_arn; expected the ARN of a queue"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(folder: Path, settings: dict[str, Any], what: str) -> None:
    found = read(folder, {"dev": settings})
    assert found.project is None
    assert any(what in line for line in told(found)), told(found)
    assert all(fault.place.source == "zappa_settings.json" and fault.place.line for fault in found.faults)


def test_what_is_not_understood_is_told_and_counted(folder: Path) -> None:
    kinesis = {"arn": "arn:aws:kinesis:us-east-1:1:stream/s", "batch_size": 5}
    settings = {
        "app_function": "api.app.app",
        "remote_env": "s3://a/b.json",
        "authorizer": {},
        "s3_bucket": "b",
        "memory_sise": 512,
        "timeout_seconds": 900,
        "events": [{"function": "api.app.process", "event_source": kinesis}],
    }
    found = read(folder, {"dev": settings})
    lines = told(found)
    assert [line for line in lines if "memory_sise" in line] == [
        "7:3: warning: dev: memory_sise is not understood and left aside; did you mean 'memory_size'?"
    ]
    for part in ("remote_env does nothing here", "authorizer does nothing here", "no kinesis here", "504 after 30 s"):
        assert any(part in line for line in lines), part
    assert not any("s3_bucket" in line for line in lines)
    assert (found.understood, found.keys) == (8, 11)


def test_stages(folder: Path) -> None:
    stages = {
        "common": {"app_function": "api.app.app", "timeout_seconds": 5, "environment_variables": {"A": "1"}},
        "prod": {"extends": "common", "environment_variables": {"B": "2"}},
        "asia": {"extends": "prod", "aws_region": "ap-east-1"},
    }
    found = read(folder, stages, "asia")
    assert found.faults == []
    assert found.project is not None
    assert found.project.stage == "asia"
    assert found.project.functions["app"].timeout == 5.0
    assert {"B"} == {"A", "B"} & set(found.project.environment)  # a key is replaced as a whole, as by Zappa
    assert found.stages == ["common", "prod", "asia"]
    (fault,) = read(folder, stages).faults
    assert "--stage with one of common, prod, asia" in str(fault)
    (fault,) = read(folder, stages, "prd").faults
    assert str(fault) == "--stage prd: unknown stage 'prd'; expected one of common, prod, asia; did you mean 'prod'?"
    assert read(folder, {"only": {"app_function": "api.app.app"}}).project is not None
    both = read(folder, {"prod": {}, "dev": {"app_function": "api.app.app"}}).project
    assert both is not None
    assert both.stage == "dev"


@pytest.mark.parametrize(
    ("stages", "what"),
    [
        ({"a": {"extends": "a"}}, "extends itself"),
        ({"a": {"extends": "b"}, "b": {"extends": "a"}, "dev": {"extends": "a"}}, "extends itself"),
        ({"dev": {"extends": "prodd"}, "prod": {}}, "did you mean 'prod'?"),
        ({"dev": {"extends": 7}}, "dev.extends"),
        ({"dev": []}, "expected a mapping such as"),
        ([], "a mapping of stages"),
        ({}, "no stage"),
        ("", "the file is empty"),
        ('{"dev": {"a": 1 "b": 2}}', "not JSON: expected ',' or '}'"),
        (b"\xff".decode("latin-1"), "a mapping of stages"),
    ],
)
def test_settings_that_are_none(folder: Path, stages: Any, what: str) -> None:
    found = read(folder, stages)
    assert found.project is None
    assert any(what in str(fault) for fault in found.faults), found.faults


def test_comments_in_json_are_borne_with_a_warning(folder: Path) -> None:
    text = """{ /* all
  of it */
  "dev": {
    "app_function": "api.app.app", // the "app"
    "domain": "http://a.example//b", // Default: none
  }
}
"""
    found = read(folder, text)
    assert found.project is not None
    assert told(found) == [
        "1:3: warning: JSON has no comments: Zappa refuses the file with them; expected a file without, or YAML"
    ]


def test_yaml_and_toml_say_the_same(folder: Path) -> None:
    json_project = loaded(
        folder,
        {
            "app_function": "api.app.app",
            "events": [{"function": "api.app.process", "event_source": {"arn": ARN, "enabled": True}}],
        },
    )
    (folder / "zappa_settings.json").unlink()
    (folder / "zappa_settings.yml").write_text(
        f"---\ndev:\n  app_function: api.app.app\n  events:\n  - function: api.app.process\n"
        f"    event_source:\n      arn: {ARN}\n      enabled: true\n"
    )
    assert examine(folder).project == json_project
    (folder / "zappa_settings.yml").unlink()
    toml = folder / "zappa_settings.toml"
    toml.write_text(
        '[dev]\n  app_function = "api.app.app"\n[[dev.events]]\n  function = "api.app.process"\n'
        f'  [dev.events.event_source]\n  arn = "{ARN}"\n  enabled = true\n'
    )
    assert examine(folder).project == json_project
    toml.write_text(
        '[dev]\napp_function = "api.app.app"\n  mermory_size = 3\nremote_env = "s3://a"\nwhen = 1979-05-27\n'
    )
    places = [fault.place for fault in examine(folder).warnings]
    assert [(place.line, place.column) for place in places] == [(3, 3), (4, 1), (5, 1)]
    toml.write_text("[dev]\nx = = 1\n")
    (fault,) = examine(folder).faults
    assert str(fault) == "zappa_settings.toml:2:5: not TOML: Invalid value"


def test_every_key_has_a_note_where_it_needs_one() -> None:
    for keys in (ZAPPA_KEYS, ZAPPA_EVENT_KEYS, ZAPPA_SOURCE_KEYS, ZAPPA_CORS_KEYS):
        assert list(keys) == sorted(keys)
        assert all(key.note for key in keys.values() if key.support != "yes")
