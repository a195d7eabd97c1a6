"""What a function's replicas are told."""

from pathlib import Path

import pytest

from millrace.config.aws import AwsConfig
from millrace.config.schema import FunctionConfig, Project
from millrace.flow.spec import environment_of, spec_of


def project(kind: str, **environment: str) -> Project:
    function = FunctionConfig.model_validate({kind: "app.Thing", "environment": environment, "memory": "1GB"})
    return Project(service="pets", root=Path("/pets"), environment={"FROM": "project"}, functions={"f": function})


def test_a_replica_is_told_what_to_run_and_within_which_limits() -> None:
    spec = spec_of(project("model"), "f")
    assert (spec.function, spec.kind, spec.target, spec.root) == ("f", "model", "app.Thing", "/pets")
    assert (spec.memory_bytes, spec.timeout_s, spec.service, spec.stage) == (1_000_000_000, 30.0, "pets", "dev")


@pytest.mark.parametrize("kind", ["model", "handler"])
def test_the_environment_is_the_shells_then_the_projects_then_the_functions(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("FROM", "shell")
    monkeypatch.setenv("SHELLS_OWN", "here")
    assert environment_of(project(kind), "f")["FROM"] == "project"
    assert environment_of(project(kind, FROM="function"), "f")["FROM"] == "function"
    assert environment_of(project(kind), "f")["SHELLS_OWN"] == "here"


@pytest.mark.parametrize("kind", ["model", "handler"])
@pytest.mark.parametrize("name", ["TOKEN", "BROKER", "BROKER_USER", "BROKER_PASSWORD", "DATABASE"])
def test_no_replica_learns_millraces_own_secrets(monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
    monkeypatch.setenv(f"MILLRACE_{name}", "secret")
    assert "secret" not in environment_of(project(kind), "f").values()


def test_freed_memory_is_kept_unless_somebody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    assert int(environment_of(project("model"), "f")["MALLOC_TRIM_THRESHOLD_"]) > 10**8
    assert environment_of(project("model", MALLOC_TRIM_THRESHOLD_="1"), "f")["MALLOC_TRIM_THRESHOLD_"] == "1"
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "2")
    assert environment_of(project("model"), "f")["MALLOC_TRIM_THRESHOLD_"] == "2"


def test_a_project_on_aws_says_where_and_how_its_functions_are_called() -> None:
    aws = project("handler").model_copy(
        update={"aws": AwsConfig.model_validate({"account": "123456789012", "region": "eu-west-1"})}
    )
    spec = spec_of(aws, "f")
    assert (spec.region, spec.account, spec.name) == ("eu-west-1", "123456789012", "")
    assert (
        environment_of(aws, "f", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    )
    assert environment_of(aws, "f")["AWS_REGION"] == "eu-west-1"


def test_a_function_may_have_a_folder_of_its_own() -> None:
    function = FunctionConfig.model_validate({"handler": "app.main", "root": "functions/one"})
    assert spec_of(Project(service="pets", root=Path("/pets"), functions={"f": function}), "f").root == (
        "/pets/functions/one"
    )
