from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace.config.load import examine_tree
from millrace.config.schema import Project
from millrace.formats.load import examine
from millrace.formats.reader import Draft, Request
from millrace.formats.serverless import read
from millrace.formats.serverless.variables.constructs import part_id

QUEUES = "http://127.0.0.1:8401/000000000000"
ARNS = "arn:aws:sqs:us-east-1:000000000000"
HEAD = "service: pets\nprovider: {name: aws, runtime: python3.12}\nplugins: [serverless-lift]\n"
# As the framework's own example of an SQS worker in Python has it.
EXAMPLE = (
    HEAD
    + """
functions:
  producer:
    handler: handler.producer
    events:
      - httpApi: {method: post, path: /produce}
    environment:
      QUEUE_URL: ${construct:jobs.queueUrl}
constructs:
  jobs:
    type: queue
    worker:
      handler: handler.consumer
"""
)


def drafted(text: str, folder: Path) -> Draft:
    file = folder / "serverless.yml"
    file.write_text(text)
    return read(Request(file))


def project_of(draft: Draft, folder: Path) -> Project:
    assert draft.tree is not None
    assert [str(fault) for fault in draft.faults] == []
    found = examine_tree(draft.tree, folder, stage=None, overrides=(), faults=[])
    assert found.project is not None, [str(fault) for fault in found.faults]
    return found.project


def plain(draft: Draft) -> Any:
    assert draft.tree is not None
    return draft.tree.plain()


def constructs(text: str, functions: str = "{f: {handler: app.f}}") -> str:
    return f"{HEAD}functions: {functions}\nconstructs:\n  jobs: {text}\n"


def test_the_framework_s_own_example(tmp_path: Path) -> None:
    draft = drafted(EXAMPLE, tmp_path)
    project = project_of(draft, tmp_path)
    assert draft.understood == draft.keys
    assert set(project.functions) == {"producer", "jobsWorker"}
    worker = project.functions["jobsWorker"]
    assert (worker.handler, worker.name) == ("handler.consumer", "pets-dev-jobsWorker")
    (event,) = plain(draft)["functions"]["jobsWorker"]["events"]
    assert (event["queue"], event["batch"]["size"], event["partial"]) == ("pets-dev-jobs", 1, True)
    queue, dead = project.queues["pets-dev-jobs"], project.queues["pets-dev-jobs-dlq"]
    assert (queue.lease, queue.max_receives, queue.dead) == (36.0, 3, "pets-dev-jobs-dlq")
    assert dead.ttl == 14 * 24 * 3600.0
    assert project.functions["producer"].environment == {"QUEUE_URL": f"{QUEUES}/pets-dev-jobs"}


def test_all_that_a_queue_may_say(tmp_path: Path) -> None:
    text = """
    type: queue
    worker: {handler: app.g, timeout: 10}
    batchSize: 5
    maxBatchingWindow: 2
    maxConcurrency: 4
    maxRetries: 7
    delay: 60
    alarm: me@example.com
    encryption: kmsManaged
    extensions: {queue: {Properties: {MaximumMessageSize: 1024}}}
"""
    draft = drafted(constructs(text), tmp_path)
    queue = project_of(draft, tmp_path).queues["pets-dev-jobs"]
    assert (queue.lease, queue.max_receives, queue.dead) == (62.0, 7, "pets-dev-jobs-dlq")
    assert (queue.fifo, queue.delay) == (False, 60.0)
    assert queue.attributes == {"MaximumMessageSize": "1024"}
    (event,) = plain(draft)["functions"]["jobsWorker"]["events"]
    assert (event["batch"], event["concurrency"]) == ({"size": 5, "wait": "2s", "bytes": "6MB"}, 4)


def test_a_fifo_queue_and_its_dead_letters(tmp_path: Path) -> None:
    project = project_of(drafted(constructs("{type: queue, worker: f, fifo: true}"), tmp_path), tmp_path)
    queue, dead = project.queues["pets-dev-jobs.fifo"], project.queues["pets-dev-jobs-dlq.fifo"]
    assert (queue.fifo, queue.dead, dead.fifo) == (True, "pets-dev-jobs-dlq.fifo", True)
    assert queue.attributes == {"ContentBasedDeduplication": "true"}


def test_a_worker_that_is_a_function_of_the_file(tmp_path: Path) -> None:
    functions = "{f: {handler: app.f, timeout: 20, events: [{schedule: rate(1 hour)}]}}"
    project = project_of(drafted(constructs("{type: queue, worker: f}", functions), tmp_path), tmp_path)
    assert list(project.functions) == ["f"]
    assert project.queues["pets-dev-jobs"].lease == 120.0
    assert len(project.functions["f"].events) == 2


@pytest.mark.parametrize(
    ("construct", "variable", "value"),
    [
        ("{type: queue, worker: f}", "queueUrl", f"{QUEUES}/pets-dev-jobs"),
        ("{type: queue, worker: f}", "queueArn", f"{ARNS}:pets-dev-jobs"),
        ("{type: queue, worker: f}", "queueName", "pets-dev-jobs"),
        ("{type: queue, worker: f}", "dlqUrl", f"{QUEUES}/pets-dev-jobs-dlq"),
        ("{type: queue, worker: f}", "dlqArn", f"{ARNS}:pets-dev-jobs-dlq"),
        ("{type: storage}", "bucketName", "pets-dev-jobsbucket7d3cb91b"),
        ("{type: storage}", "bucketArn", "arn:aws:s3:::pets-dev-jobsbucket7d3cb91b"),
        ("{type: database/dynamodb-single-table}", "tableName", "pets-dev-jobsTableCE623A65"),
    ],
)
def test_a_variable_of_a_construct(construct: str, variable: str, value: str, tmp_path: Path) -> None:
    functions = f"{{f: {{handler: app.f, environment: {{X: '${{construct:jobs.{variable}}}'}}}}}}"
    project = project_of(drafted(constructs(construct, functions), tmp_path), tmp_path)
    assert project.functions["f"].environment["X"] == value


def test_logical_ids_are_those_of_lift_s_own_tests() -> None:
    assert part_id("emails", "Queue") == "emailsQueueF057328A"
    assert part_id("emails", "Dlq") == "emailsDlq47F8494C"


def test_a_table_has_the_keys_and_indexes_that_lift_gives_it(tmp_path: Path) -> None:
    text = "{type: database/dynamodb-single-table, gsiCount: 2, localSecondaryIndexes: true}"
    draft = drafted(constructs(text), tmp_path)
    ((name, table),) = project_of(draft, tmp_path).tables.items()
    assert (table.key, table.sort) == ("PK", "SK")
    resource = plain(draft)["aws"]["resources"][name.removeprefix("pets-dev-")]["Properties"]
    assert [each["IndexName"] for each in resource["GlobalSecondaryIndexes"]] == ["GSI-1", "GSI-2"]
    assert len(resource["LocalSecondaryIndexes"]) == 5
    assert len(resource["AttributeDefinitions"]) == 2 + 2 * 2 + 5


def test_objects_of_a_storage_call_a_function(tmp_path: Path) -> None:
    functions = "{f: {handler: app.f, events: [{s3: {bucket: '${construct:jobs.bucketName}', existing: true}}]}}"
    draft = drafted(constructs("{type: storage}", functions), tmp_path)
    ((bucket, _),) = project_of(draft, tmp_path).buckets.items()
    assert plain(draft)["functions"]["f"]["events"] == [{"bucket": bucket, "on": "created"}]


@pytest.mark.parametrize(("lift", "told"), [("", False), ("lift: {automaticPermissions: false}\n", True)])
def test_functions_may_use_the_constructs_unless_the_file_says_otherwise(lift: str, told: bool, tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text(
        "import boto3\n\nboto3.client('sqs').send_message(QueueUrl='', MessageBody='')\n"
        "def producer(event, context): ...\ndef consumer(event, context): ...\n"
    )
    drafted(EXAMPLE + lift, tmp_path)
    found = examine(tmp_path)
    assert any("sqs:SendMessage" in str(warning) for warning in found.warnings) == told


@pytest.mark.parametrize(
    ("construct", "said"),
    [
        ("{type: webhook, path: /x}", "constructs.jobs: webhook does not run here: use an httpApi event"),
        ("{type: quue}", "constructs.jobs: its type is not understood"),
        ("{type: storage, cors: '*'}", "constructs.jobs: cors does nothing here"),
        ("{type: queue}", "constructs.jobs.worker; expected a mapping with a handler, got nothing"),
        ("{type: queue, worker: g}", "constructs.jobs.worker; expected f"),
        ("{type: queue, worker: f, maxRetry: 1}", "did you mean 'maxRetries'?"),
    ],
)
def test_what_of_it_does_not_run_here_is_told(construct: str, said: str, tmp_path: Path) -> None:
    draft = drafted(constructs(construct), tmp_path)
    assert any(said in str(fault) for fault in draft.faults), [str(fault) for fault in draft.faults]
    assert draft.understood < draft.keys or any(fault.severity == "error" for fault in draft.faults)


def test_a_variable_that_the_construct_lacks_is_told(tmp_path: Path) -> None:
    draft = drafted(EXAMPLE.replace("queueUrl", "queueUrI"), tmp_path)
    assert "did you mean 'queueUrl'?" in str(draft.faults[0])
