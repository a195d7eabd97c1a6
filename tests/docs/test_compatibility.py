"""The compatibility page has every key that a reader reads, and no key is said to work that nothing reads."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace import formats
from millrace.aws.endpoint.call import Call
from millrace.aws.endpoint.event_sources import EventSource
from millrace.aws.endpoint.functions import LAMBDA_ACTIONS, Answer, Function, Functions
from millrace.formats.docs import compatibility_page, parts
from millrace.formats.keys import Key, Keys

FORMATS = Path(formats.__file__).parent
# What is read of a mapping that a declared key holds, or of a resource that has no table of its own.
INSIDE = {
    "serverless": {"managedPolicies", "statements", "modules"},
    "zappa": {"queues", "tables", "type", "value"},
    "cloudformation": {
        *("BuildMethod", "Command", "Condition", "Conditions", "Content", "Cors", "DefaultValue", "DependsOn"),
        *(
            "Destination",
            "DockerContext",
            "Event",
            "Filter",
            "Filters",
            "Function",
            "ImageUri",
            "MaximumConcurrency",
            "Metadata",
        ),
        *("OnFailure", "PYTHONPATH", "Pattern", "Properties", "Resources", "Rules", "S3Key", "StreamViewType"),
        *("TargetArn", "Variables", "ZipFile", "prefix", "suffix", "deadLetterTargetArn", "maxReceiveCount"),
        *("AttributeName", "KeyType", "HASH", "RANGE", "Mappings", "aws", "events", "http", "name"),
        # of an API's body
        *("components", "options", "paths", "payloadFormatVersion", "responseParameters", "responses", "security"),
        *("securityDefinitions", "securitySchemes", "uri", "allow-credentials", "allow-origin", "allowcredentials"),
        *("max-age", "x-amazon-apigateway-cors", "x-amazon-apigateway-integration"),
        # of routes, methods, URLs and policies
        *("ApiId", "ApiKeyRequired", "HttpMethod", "Integration", "IntegrationUri", "ParentId", "PathPart"),
        *("PayloadFormatVersion", "ResourceId", "TargetFunctionArn", "Uri"),
        *("ManagedPolicyArns", "Policies", "PolicyDocument", "RoleName", "Roles", "Statement"),
    },
}
# What works although its reader never says its name: it works by itself, by a rule, or by another's doing.
BY_ITSELF = {
    "serverless": {
        *(
            "serverless-python-requirements",
            "serverless-iam-roles-per-function",
            "serverless-wsgi",
        ),  # theirs at functions
        *("dotenv", "binaryMediaTypes", "serverless-lift"),
        *("cf", "git", "output", "state", "terraform", "vault", "doppler"),  # asked for with --parameter, all alike
    },
    "cloudformation": {
        *("VersioningConfiguration", "LifecycleConfiguration", "AttributeDefinitions", "GlobalSecondaryIndexes"),
        *("LocalSecondaryIndexes", "TimeToLiveSpecification"),  # the endpoint's
        *("AWS::ECR::Repository", "AWS::Events::Archive", "AWS::SSM::Document"),
        *("ApiKeySourceType", "SqsParameters", "ScheduleExpressionTimezone"),  # partly: what they say is so anyway
    },
    "zappa": {"api_key", "async_source"},
}


def declarations(module: ast.Module) -> Iterator[ast.AST]:
    """The tables of keys in a module's text."""
    for node in module.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.endswith("_KEYS"):
            yield node


def strings(room: str) -> set[str]:
    """Every string of a room's code outside its tables of keys."""
    found: set[str] = set()
    for file in (FORMATS / room).rglob("*.py"):
        module = ast.parse(file.read_text())
        told = {id(each) for table in declarations(module) for each in ast.walk(table)}
        found |= {
            node.value
            for node in ast.walk(module)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
        }
    return found


def read(room: str) -> dict[str, str]:
    """What a room's code looks up by name, and where."""
    found: dict[str, str] = {}
    for file in (FORMATS / room).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            for argument in node.args if name in {"below", "child", "get"} else []:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found.setdefault(argument.value, f"{file.name}:{node.lineno}")
    return {name: where for name, where in found.items() if name.isidentifier() or "-" in name}


def tables(room: str = "") -> list[tuple[str, Keys]]:
    """Every public table of keys that a reader holds, once."""
    found: dict[int, tuple[str, Keys]] = {}
    for module in pkgutil.walk_packages(formats.__path__, "millrace.formats."):
        if module.name.startswith(f"millrace.formats.{room}"):
            for name, value in vars(importlib.import_module(module.name)).items():
                for table in _tables(value) if not name.startswith("_") else []:
                    found.setdefault(id(table), (f"{module.name}.{name}", table))
    return list(found.values())


def _tables(value: object) -> list[Keys]:
    if not isinstance(value, dict) or not value:
        return []
    if all(isinstance(each, Key) for each in value.values()):
        return [value]
    return [each for inner in value.values() if isinstance(inner, dict) for each in _tables(inner)]


def test_every_table_of_a_reader_is_on_the_page() -> None:
    shown = {id(part.keys) for part in parts()}
    assert [name for name, table in tables() if id(table) not in shown] == []


@pytest.mark.parametrize("room", INSIDE)
def test_every_key_that_is_read_is_declared(room: str) -> None:
    declared = {name for of in {room, "cloudformation"} for _, table in tables(of) for name in table} | INSIDE[room]
    assert {name: where for name, where in read(room).items() if name not in declared} == {}


@pytest.mark.parametrize("room", BY_ITSELF)
def test_nothing_is_said_to_work_that_nobody_reads(room: str) -> None:
    said = strings(room) | (strings("cloudformation") if room == "serverless" else set()) | BY_ITSELF[room]
    events = "s3:Object"  # of buckets: looked up as they stand in the file
    silent = {
        f"{where}: {name}"
        for where, table in tables(room)
        for name, key in table.items()
        if key.support in {"yes", "partly"} and name not in said and not name.startswith(events)
    }
    assert silent == set()


def test_what_does_not_work_says_why() -> None:
    unsaid = [
        f"{part.title}: {name}"
        for part in parts()
        for name, key in part.keys.items()
        if key.support in {"partly", "no"} and not key.note
    ]
    assert unsaid == []


def test_the_counts_on_top_are_those_of_the_rows() -> None:
    page = compatibility_page()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    counted = [line.split("|")[-2] for line in page.splitlines() if line.startswith("| [")]
    assert sum(map(int, counted)) == len(rows)
    assert all(line.count("|") - line.count("\\|") == 4 for line in rows)


class Nobody:
    """An invoker whose one function answers with nothing."""

    functions = (Function("main", "main", "app.main", "python3.12", 3.0, 128),)

    async def invoke(self, function: Function, payload: bytes, kind: str, **_: str) -> Answer:
        return Answer(b"null")


@pytest.mark.parametrize("action", LAMBDA_ACTIONS)
async def test_every_action_of_lambda_is_answered(action: str) -> None:
    offered = LAMBDA_ACTIONS[action]
    source = EventSource("main", "arn:main", "arn:queue", 10, 0.0, enabled=True)
    path = offered.path.format(source.id if "event-source" in offered.path else "main")
    call = Call(offered.method, path, "", {}, b"", "us-east-1", "000000000000")
    reply = await Functions(Nobody(), account="000000000000", region="us-east-1", sources=[source]).handle(call)
    assert reply.status in {200, 202}
