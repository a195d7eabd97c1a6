"""`--broker` and `--database`: wherever a stage can be chosen, another broker can be, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millrace import cli, known_brokers
from millrace.broker import Capabilities
from millrace.cli.options import elsewhere, load_project
from millrace.cli.registry import COMMANDS
from millrace.errors import ConfigError
from millrace.known_brokers import KnownBroker

ABLE = Capabilities(durable=True, transactional=False, fifo=True, delay=True, ttl=True, dedupe=True, shared=True)
OPEN_NOTHING = {"logs", "convert"}


def commands(name: str) -> Iterator[tuple[str, Any]]:
    command = cli.load_command(name)
    below = getattr(command, "commands", None)
    yield from [(f"{name} {each}", found) for each, found in below.items()] if below else [(name, command)]


def test_every_command_that_opens_a_project_can_be_told_where_its_queues_are() -> None:
    asked = 0
    for name, command in [each for known in COMMANDS for each in commands(known)]:
        options = {option for parameter in command.params for option in parameter.opts}
        if "--stage" in options and name not in OPEN_NOTHING:
            assert {"--broker", "--database"} <= options, name
            asked += 1
    assert asked > 10


def test_every_command_that_reads_a_project_takes_its_parameters() -> None:
    for name, command in [each for known in COMMANDS for each in commands(known)]:
        options = {option for parameter in command.params for option in parameter.opts}
        assert ("--parameter" in options) == ("--stage" in options), name


def test_a_parameter_without_a_default_is_said_to_any_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = "{Type: AWS::SQS::Queue, Properties: {QueueName: !Ref Name}}"
    text = f"Parameters: {{Name: {{Type: String}}}}\nResources:\n  Jobs: {queue}\n"
    (tmp_path / "template.yaml").write_text(text)
    for command in ("queues", "logs"):
        assert cli.run([command, "--project", str(tmp_path)]) == 2
        assert "expected --parameter Name=VALUE" in capsys.readouterr().err
    assert cli.run(["queues", "--json", "--project", str(tmp_path), "--parameter", "Name=jobs"]) == 0
    assert '"jobs"' in capsys.readouterr().out
    assert cli.run(["logs", "--project", str(tmp_path), "--parameter", "Name=jobs"]) == 0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kinds = (KnownBroker("able", "Able", {"able": 1}, "json", "able", ABLE),)
    monkeypatch.setattr(known_brokers, "KNOWN_BROKERS", kinds)
    (tmp_path / "millrace.yml").write_text("service: x\nstages:\n  prod: {broker: able://far}\n")
    return tmp_path


def test_the_option_is_stronger_than_the_stage(project: Path) -> None:
    url = "able://me:p{a}s: s@near/x #1"
    assert load_project(project, "prod", elsewhere(None, None)).broker == "able://far"
    found = load_project(project, "prod", elsewhere(url, "postgresql://db/x"))
    assert (found.broker, found.database) == (url, "postgresql://db/x")


def test_embedded_is_the_queue_of_this_folder(project: Path) -> None:
    found = load_project(project, "prod", elsewhere("embedded", "embedded"))
    assert (found.broker, found.database) == (None, None)


def test_a_url_that_is_refused_is_not_shown_whole(project: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_project(project, None, elsewhere("kable://me:secret@near", None))
    assert "kable://" in str(refused.value)
    assert "secret" not in str(refused.value)
