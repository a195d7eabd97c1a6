"""What `millrace manifests` writes: which processes, how much of everything, where queues are, and never a secret."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

from millrace.config.load import load
from millrace.deploy import Plan, container_files, manifests, manifests_text, plain_addresses, plan_of, unit_files
from millrace.deploy.names import label
from millrace.deploy.plain import is_plain
from millrace.deploy.server import server_of
from millrace.errors import BrokerDenied, ConfigError

PROJECT = """
service: pets
drain: 90s
gateway: {token: opensesame, api_keys: {partner: opensesame}}
environment: {API_KEY: opensesame}
queues:
  images: {}
tables: {seen: {}}
functions:
  classify:
    model: app.Classifier
    batch: {size: 32}
    replicas: 2
    memory: 1GB
    events:
      - queue: images
      - http: POST /images
  My_Func:
    handler: app.other
    events:
      - queue: images
  gateway:
    handler: app.other
  idle:
    handler: app.other
    replicas: 0
"""
RABBITMQ = "amqp://guest:opensesame@rabbit-1,rabbit-2:5671/vhost?prefix=team."
REDIS = "rediss://:opensesame@cache/3"
NATS = "nats://user:opensesame@nats-1:4222,nats-2/?prefix=team."
PODS = (1, 10)


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    def read(broker: str | None = RABBITMQ, *settings: str, text: str = PROJECT) -> Plan:
        (tmp_path / "millrace.yml").write_text(text)
        (tmp_path / "app.py").write_text("class Classifier:\n    predict = print\n\ndef other(event, context): ...\n")
        chosen = [] if broker is None else [f'broker="{broker}"']
        return plan_of(load(tmp_path, overrides=[*chosen, *settings]))

    return read


def of_kind(documents: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


def test_a_worker_for_each_function_that_runs(plan: Any) -> None:
    found = plan()
    assert [work.function for work in found.works] == ["classify", "My_Func", "gateway"]
    assert found.works[0].memory_bytes == 2 * 10**9 + (256 << 20)
    assert found.works[1].memory_bytes is None
    assert found.works[0].backlog == 128
    assert found.extras == ("rabbitmq",)
    assert plan(None, "database=postgresql://db/pets", "aws={}").extras == ("aws", "postgres")


def test_an_end_takes_longer_than_a_drain(plan: Any) -> None:
    found = plan()
    assert found.grace_s > 90
    pods = [each["spec"]["template"]["spec"] for each in of_kind(written(found), "Deployment").values()]
    assert {pod["terminationGracePeriodSeconds"] for pod in pods} == {found.grace_s}
    units = [text for name, text in unit_files(found, PurePosixPath("/srv/pets")).items() if name.endswith(".service")]
    assert all(f"TimeoutStopSec={found.grace_s}\n" in text for text in units)


def written(plan: Plan) -> list[dict[str, Any]]:
    return manifests(plan, image="pets:1", pods=PODS)


@pytest.mark.parametrize("broker", [RABBITMQ, REDIS, NATS])
def test_no_secret_is_written(plan: Any, broker: str) -> None:
    found = plan(broker, "database=postgresql://me:opensesame@db/pets")
    texts = [
        manifests_text(found, image="pets:1", pods=PODS),
        *unit_files(found, PurePosixPath("/srv/pets")).values(),
        *container_files(found, version="1.0", python="3.12", has_requirements=True).values(),
    ]
    assert not [text for text in texts if "opensesame" in text]


def test_pods_may_do_little(plan: Any) -> None:
    for deployment in of_kind(written(plan()), "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] != 0
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_pods_are_asked_where_they_listen(plan: Any) -> None:
    deployments = of_kind(written(plan()), "Deployment")
    for name, deployment in deployments.items():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        port = str(container["ports"][0]["containerPort"])
        listens = ["--port", port] if name == "pets-gateway" else ["--health", f"0.0.0.0:{port}"]
        assert container["args"][-2:] == listens
    classify = deployments["pets-worker-classify"]["spec"]["template"]["spec"]["containers"][0]
    assert classify["args"][:3] == ["worker", "--function", "classify"]
    assert classify["resources"]["limits"] == {"memory": "2164Mi"}


def test_every_object_finds_its_pods_and_no_others(plan: Any) -> None:
    documents = written(plan())
    deployments = of_kind(documents, "Deployment")
    selectors = []
    for name, deployment in deployments.items():
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        assert of_kind(documents, "PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"] == selector
        selectors.append(selector)
    for selector in selectors:
        assert [each for each in selectors if selector.items() <= each.items()] == [selector]
    scaled = of_kind(documents, "ScaledObject")
    assert set(scaled) == set(deployments) - {"pets-gateway"}
    assert all(
        "replicas" not in deployments[each["spec"]["scaleTargetRef"]["name"]]["spec"] for each in scaled.values()
    )


def test_two_gateways_where_both_see_all_results(plan: Any) -> None:
    assert of_kind(written(plan()), "Deployment")["pets-gateway"]["spec"]["replicas"] == 1
    shared = plan(RABBITMQ, "database=postgresql://db/pets")
    assert of_kind(written(shared), "Deployment")["pets-gateway"]["spec"]["replicas"] == 2


def triggers(plan: Plan) -> list[dict[str, Any]]:
    return list(of_kind(written(plan), "ScaledObject")["pets-worker-classify"]["spec"]["triggers"])


def test_rabbitmq_is_asked_with_the_url_of_the_secret(plan: Any) -> None:
    assert triggers(plan(RABBITMQ)) == [
        {
            "type": "rabbitmq",
            "metadata": {"protocol": "amqp", "mode": "QueueLength", "queueName": "team.images", "value": "128"},
            "authenticationRef": {"name": "pets-broker"},
        }
    ]
    (entry,) = of_kind(written(plan(RABBITMQ)), "TriggerAuthentication").values()
    assert entry["spec"]["secretTargetRef"] == [{"parameter": "host", "name": "pets-secrets", "key": "MILLRACE_BROKER"}]
    assert "amqp://USER:PASSWORD@rabbit-1:5672,rabbit-2:5671/vhost?prefix=team." in manifests_text(
        plan(RABBITMQ), image="pets:1", pods=PODS
    )


@pytest.mark.parametrize("broker", [RABBITMQ, REDIS, NATS])
def test_what_was_an_option_here_is_asked_of_the_secret(plan: Any, broker: str) -> None:
    heading, _, _ = manifests_text(plan(broker, "database=postgresql://db/pets"), image="pets:1", pods=PODS).partition(
        "---"
    )
    assert "MILLRACE_BROKER=" in heading
    assert "MILLRACE_DATABASE=" in heading


def test_what_no_secret_is_in_stands_in_every_pods_environment(plan: Any) -> None:
    found = plan("nats://nats", "database=postgresql://db/pets?options=$(HOME)")
    given = plain_addresses(found, "nats://nats", "postgresql://db/pets?options=$(HOME)")
    for deployment in of_kind(manifests(found, image="pets:1", pods=PODS, variables=given), "Deployment").values():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        environment = {each["name"]: each["value"] for each in container["env"]}
        assert environment["MILLRACE_BROKER"] == "nats://nats"
        assert environment["MILLRACE_DATABASE"] == "postgresql://db/pets?options=$$(HOME)", "no variable of the pod"
        assert environment["MILLRACE_STAGE"] == "dev"
    heading, _, _ = manifests_text(found, image="pets:1", pods=PODS, variables=given).partition("---")
    assert "MILLRACE_BROKER=" not in heading
    assert "MILLRACE_DATABASE=" not in heading
    assert "MILLRACE_BROKER_PASSWORD=" in heading
    assert "PGPASSWORD=" in heading


def test_rabbitmqs_address_stays_in_the_secret_for_keda(plan: Any) -> None:
    found = plan("amqp://rabbit/", "database=postgresql://db/pets")
    given = plain_addresses(found, "amqp://rabbit/", "postgresql://db/pets")
    assert given == {"MILLRACE_DATABASE": "postgresql://db/pets"}
    heading, _, _ = manifests_text(found, image="pets:1", pods=PODS, variables=given).partition("---")
    assert "MILLRACE_BROKER=" in heading


def test_what_the_project_names_is_left_to_it(plan: Any) -> None:
    assert plain_addresses(plan("nats://nats", "database=postgresql://db/pets"), None, None) == {}
    assert plain_addresses(plan(None), "embedded", "embedded") == {}


@pytest.mark.parametrize(
    "url",
    [
        "redis://:opensesame@cache",
        "redis://opensesame@cache",
        "nats://token@nats",
        "redis://me:open/sesame@cache",
        "redis://me%3Aopensesame%40cache",
        "postgresql://me:opensesame@db/pets",
        "postgresql://db/pets?password=opensesame",
        "postgresql://db/pets?sslPassword=opensesame",
        "sqs://eu-west-1?endpoint=http://me:opensesame@sqs",
        "redis://localhost",
        "postgresql://[::1]/pets",
        "redis://[",
    ],
)
def test_what_is_secret_or_this_machines_own_is_not_plain(url: str) -> None:
    assert not is_plain(url)


@pytest.mark.parametrize(
    "url", ["nats://a,b:4222/?prefix=x.", "rediss://cache/1?cafile=/ca.pem", "postgresql:///pets", "sqs://eu-west-1"]
)
def test_what_is_plain(url: str) -> None:
    assert is_plain(url)


def test_a_virtual_host_says_no_more_than_its_name(plan: Any) -> None:
    text = manifests_text(plan("amqp://rabbit/%2Fa%0Akind: Secret"), image="pets", pods=PODS)
    assert "amqp://USER:PASSWORD@rabbit:5672/%2Fa%0Akind%3A%20Secret, for" in text
    assert "\nkind: Secret" not in text


def test_redis_is_asked_for_a_streams_length(plan: Any) -> None:
    (trigger,) = triggers(plan(REDIS))
    assert trigger["type"] == "redis-streams"
    assert trigger["metadata"] == {
        "address": "cache:6379",
        "stream": "{millrace}:stream:images",
        "streamLength": "128",
        "databaseIndex": "3",
        "enableTLS": "true",
    }
    assert trigger["authenticationRef"] == {"name": "pets-broker"}
    (open_one,) = triggers(plan("redis://[::1]:6380/?prefix=team."))
    assert open_one["metadata"]["address"] == "[::1]:6380"
    assert open_one["metadata"]["stream"] == "{team.}:stream:images"
    assert "authenticationRef" not in open_one
    assert "enableTLS" not in open_one["metadata"]


def test_nats_is_asked_at_its_monitoring_port(plan: Any) -> None:
    (trigger,) = triggers(plan(NATS))
    assert trigger == {
        "type": "nats-jetstream",
        "metadata": {
            "natsServerMonitoringEndpoint": "nats-1:8222",
            "account": "$G",
            "stream": "team=2Eimages",
            "consumer": "millrace",
            "lagThreshold": "128",
        },
    }


def test_a_broker_without_a_scaler_has_workers_all_the_same(plan: Any) -> None:
    found = plan(RABBITMQ)
    server = msgspec.structs.replace(found.server, kind=msgspec.structs.replace(found.server.kind, name="pigeons"))
    documents = written(msgspec.structs.replace(found, server=server))
    assert not of_kind(documents, "ScaledObject")
    assert not of_kind(documents, "TriggerAuthentication")
    assert "pets-worker-classify" in of_kind(documents, "Deployment")


def test_a_format_of_bodies_may_need_an_extra(plan: Any) -> None:
    assert plan(RABBITMQ, "queues.images.codec=json").extras == ("rabbitmq",)


def test_pods_cannot_share_a_file(plan: Any) -> None:
    with pytest.raises(ConfigError, match="queue in a file"):
        written(plan(None))


def test_kafka_is_asked_at_the_port_that_the_adapter_uses(plan: Any) -> None:
    (trigger,) = triggers(plan("kafka://k-1,k-2:9094/?prefix=team."))
    asked = {
        "bootstrapServers": "k-1:9092,k-2:9094",
        "consumerGroup": "team.millrace.images",
        "topic": "team.images",
        "lagThreshold": "128",
        "allowIdleConsumers": "true",
    }
    assert trigger == {"type": "kafka", "metadata": asked}


@pytest.mark.parametrize(
    ("option", "mechanism"), [("", "plaintext"), ("&sasl=PLAIN", "plaintext"), ("&sasl=SCRAM-SHA-512", "scram_sha512")]
)
def test_kafka_is_asked_as_its_users_are(plan: Any, option: str, mechanism: str) -> None:
    found = plan(f"kafkas://me:opensesame@k-1/?prefix=team.{option}")
    (trigger,) = triggers(found)
    metadata = trigger["metadata"]
    assert (metadata["bootstrapServers"], metadata["tls"], metadata["sasl"]) == ("k-1:9093", "enable", mechanism)
    assert trigger["authenticationRef"] == {"name": "pets-broker"}
    (entry,) = of_kind(written(found), "TriggerAuthentication").values()
    assert {each["parameter"]: each["key"] for each in entry["spec"]["secretTargetRef"]} == {
        "username": "MILLRACE_BROKER_USER",
        "password": "MILLRACE_BROKER_PASSWORD",
    }


@pytest.mark.parametrize("url", [None, "carrier://pigeon"])
def test_no_server(url: str | None) -> None:
    assert server_of(url) is None


@pytest.mark.parametrize("url", ["amqp://[broken", "amqp://host?colour=red", "amqp://host?prefix=a%0A"])
def test_what_the_adapter_would_refuse_is_refused_here(url: str) -> None:
    with pytest.raises(BrokerDenied, match="the broker's URL"):
        server_of(url)


def test_of_a_server_nobody_sees_user_or_password() -> None:
    found = server_of("redis://ann:opensesame@cache/3")
    assert found is not None
    assert (found.address.user, found.address.password, found.has_user) == (None, None, True)


@pytest.mark.parametrize(
    "line", ["service: 'pets\\nUser=root'", 'service: "p\\nq"', "service: '%n'", "service: 'a\"b'"]
)
def test_a_name_that_would_say_more_in_a_unit_is_refused(plan: Any, line: str) -> None:
    with pytest.raises(ConfigError, match="cannot stand in a manifest"):
        plan(text=PROJECT.replace("service: pets", line))


@pytest.mark.parametrize("folder", ["srv/pets", "/srv/my pets", "/srv/%n", "/srv/$HOME", '/srv/"', "/srv/a\nb"])
def test_a_folder_that_would_say_more_in_a_unit_is_refused(plan: Any, folder: str) -> None:
    with pytest.raises(ConfigError, match="cannot name the folder"):
        unit_files(plan(), PurePosixPath(folder))


def test_names() -> None:
    assert label("pets", "classify") == "pets-classify"
    assert label("my_func") != label("my-func") != label("My-func")
    assert label("_") not in ("", "-")
    assert len(label("a" * 100)) == 63
    assert label("a" * 100) != label("a" * 101)
    assert len(label("p" * 40, longest=31)) == 31


def test_units_start_what_the_project_has(plan: Any) -> None:
    files = unit_files(plan(None), PurePosixPath("/srv/pets"))
    services = [name for name in files if name.endswith(".service")]
    assert len(services) == 4
    assert f"Wants={' '.join(services)}\n" in files["pets.target"]
    assert "ExecStart=/srv/pets/.venv/bin/millrace worker --function My_Func\n" in "".join(files.values())
    assert "ExecStart=/srv/pets/.venv/bin/millrace gateway\n" in files["pets-gateway.service"]
    assert "PrivateDevices" not in files["pets-worker-classify.service"]


def test_the_image_installs_what_the_project_needs(plan: Any) -> None:
    files = container_files(plan(RABBITMQ), version="1.2.3", python="3.12", has_requirements=True)
    assert "FROM docker.io/library/python:3.12-slim\n" in files["Containerfile"]
    assert '"millrace[rabbitmq]==1.2.3" -r requirements.txt' in files["Containerfile"]
    assert ".env" in files[".dockerignore"].splitlines()
    plain = container_files(plan(None), version="1.2.3", python="3.12", has_requirements=False)["Containerfile"]
    assert "millrace==1.2.3" in plain
    assert "requirements.txt" not in plain


def test_the_text_is_the_objects_without_aliases(plan: Any) -> None:
    text = manifests_text(plan(), image="pets:1", pods=PODS)
    assert list(YAML(typ="safe").load_all(text)) == written(plan())
    assert "&id" not in text
