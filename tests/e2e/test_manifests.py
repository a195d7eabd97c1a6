"""What `millrace manifests` writes, judged by the programs that will read it, and by the brokers that KEDA will ask."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needs import needs, needs_command, tool
from ruamel.yaml import YAML

from millrace.app.brokers import open_broker
from millrace.broker import Queue
from millrace.cli import run
from millrace.clock import SystemClock
from millrace.types import Message, Put
from tests.services import service

PROJECT = """
service: pets
queues: {images: {}}
functions:
  classify:
    model: app.Classifier
    batch: {size: 32}
    memory: 1GB
    events:
      - queue: images
      - http: POST /images
  My_Func:
    handler: app.other
"""
CODE = "class Classifier:\n    predict = print\n\ndef other(event, context): ...\n"
BROKERS = ["amqp://rabbit/?prefix=team.", "rediss://user@cache:6380/1", "nats://nats"]
KEDA = """
import json, sys
from cloudcoil.models.keda import v1alpha1
for document in json.load(sys.stdin):
    read = getattr(v1alpha1, document["kind"]).model_validate(document)
    again = read.model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert again == document, (again, document)  # its models forget fields that they do not know
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Write:
    """Run `millrace manifests ARGUMENTS`; the folder of what it wrote."""
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Path:
        assert run(["manifests", *arguments, "--output", "out", "--force"]) == 0, capfd.readouterr().err
        return tmp_path / "out"

    return call


def documents(folder: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(folder / "kubernetes.yaml"))


@pytest.mark.parametrize("broker", BROKERS)
def test_kubernetes_knows_every_field(write: Write, broker: str) -> None:
    folder = write("k8s", "--broker", broker, "--database", "postgresql://db/pets")
    done = subprocess.run(
        [tool("kubernetes-validate"), "--strict", str(folder / "kubernetes.yaml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = (done.stdout + done.stderr).splitlines()
    plain = [each for each in documents(folder) if not each["apiVersion"].startswith("keda.sh/")]
    assert sum("passed for resource" in line for line in said) == len(plain) > 0


@pytest.mark.parametrize("broker", BROKERS)
def test_keda_knows_every_field(write: Write, broker: str) -> None:
    python = Path(tool("kubernetes-validate")).with_name("python")
    asked = [each for each in documents(write("k8s", "--broker", broker)) if each["apiVersion"].startswith("keda.sh/")]
    assert {each["kind"] for each in asked} >= {"ScaledObject"}
    done = subprocess.run([python, "-c", KEDA], input=json.dumps(asked), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("broker", "written", "asked"),
    [
        ("nats://nats", {"MILLRACE_BROKER", "MILLRACE_DATABASE"}, set()),
        ("nats://me:opensesame@nats", {"MILLRACE_DATABASE"}, {"MILLRACE_BROKER"}),
        ("amqp://rabbit/", {"MILLRACE_DATABASE"}, {"MILLRACE_BROKER"}),
    ],
)
def test_an_address_is_written_or_asked_of_the_secret(
    write: Write, broker: str, written: set[str], asked: set[str]
) -> None:
    folder = write("k8s", "--broker", broker, "--database", "postgresql://db/pets")
    text = (folder / "kubernetes.yaml").read_text()
    assert "opensesame" not in text
    addresses = {"MILLRACE_BROKER", "MILLRACE_DATABASE"}
    assert {name for name in addresses if f"#   {name}=" in text} == asked
    for deployment in (each for each in documents(folder) if each["kind"] == "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert addresses & {each["name"] for each in container["env"]} == written


@pytest.mark.parametrize("requirements", [None, "numpy>=2\n"])
def test_hadolint_has_nothing_to_say_of_the_container_file(write: Write, tmp_path: Path, requirements: str) -> None:
    if requirements:
        (tmp_path / "requirements.txt").write_text(requirements)
    folder = write("container", "--broker", BROKERS[0], "--database", "postgresql://db/pets")
    done = subprocess.run([tool("hadolint"), str(folder / "Containerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_understands_every_unit(write: Write, tmp_path: Path) -> None:
    needs_command("systemd-analyze")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/millrace").symlink_to("/bin/true")  # that what is started is there is checked as well
    folder = write("systemd")
    units = sorted(map(str, [*folder.glob("*.service"), *folder.glob("*.target")]))
    assert len(units) == 4
    environment = os.environ | {"SYSTEMD_LOG_LEVEL": "warning"}
    done = subprocess.run(["systemd-analyze", "verify", *units], env=environment, capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "/pets" in line or "pets-" in line or "pets." in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize(
    "arguments", [["k8s"], ["k8s", "--min-pods", "3", "--max-pods", "2"], ["container", "--python", "2"]]
)
def test_what_cannot_be_written_is_told(write: Write, arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["manifests", *arguments]) == 2
    said = capfd.readouterr().err
    assert "expected" in said or "more than" in said


def test_files_that_are_there_are_left_alone(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write("container")
    (folder / "Containerfile").write_text("mine")
    assert run(["manifests", "container", "--output", "out"]) == 2
    assert "Containerfile" in capfd.readouterr().err
    assert (folder / "Containerfile").read_text() == "mine"


def test_printed_they_stand_one_after_the_other(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["manifests", "systemd", "--folder", "/srv/pets"]) == 0
    out = capfd.readouterr().out
    assert out.count("# ---- ") == 5
    assert "# ---- pets.target\n[Unit]\n" in out


async def rabbitmq_depth(url: str, metadata: dict[str, str]) -> int:
    import aio_pika

    async with await aio_pika.connect(url.partition("?")[0]) as connection, connection.channel() as channel:
        queue = await channel.declare_queue(metadata["queueName"], passive=True)
        return int(queue.declaration_result.message_count or 0)


async def redis_depth(url: str, metadata: dict[str, str]) -> int:
    from redis.asyncio import Redis

    host, _, port = metadata["address"].rpartition(":")
    async with Redis(host=host, port=int(port), db=int(metadata["databaseIndex"])) as client:
        return int(await client.xlen(metadata["stream"]))


async def nats_depth(url: str, metadata: dict[str, str]) -> int:
    """The scaler adds what waits and what is not acknowledged, of the consumer that it finds in /jsz."""
    import nats

    client = await nats.connect(url.partition("?")[0])
    found = await client.jetstream().consumer_info(metadata["stream"], metadata["consumer"])
    await client.close()
    return int(found.num_pending or 0) + int(found.num_ack_pending or 0)


@pytest.mark.parametrize(
    ("name", "depth"), [("rabbitmq", rabbitmq_depth), ("redis", redis_depth), ("nats", nats_depth)]
)
async def test_a_scaler_finds_the_queue_where_the_adapter_keeps_it(write: Write, name: str, depth: Any) -> None:
    if importlib.util.find_spec(f"millrace.brokers.{name}") is None:
        needs(f"the adapter of {name}", False)
    url = f"{service(name)}?prefix=scaled{os.getpid()}."
    folder = write("k8s", "--broker", url)
    scaled = next(each for each in documents(folder) if each["kind"] == "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    broker = await open_broker(url, clock=SystemClock())
    try:
        await broker.declare([Queue("images")])
        await broker.put([Put("images", Message(f"m{index}", b"x")) for index in range(3)])
        assert await depth(url, trigger["metadata"]) == 3
    finally:
        await broker.drop(["images"])
        await broker.close()
