"""`functions`: each as a function of millrace.yml under its own key, called as Lambda calls it."""

from __future__ import annotations

from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.resolver import is_call
from millrace.formats.cloudformation.values import below, entries, integer, items, measured, side_by_side, text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import put, text
from millrace.formats.serverless.environments import LOGS_KEYS, of_function
from millrace.formats.serverless.events.asked import Asked
from millrace.formats.serverless.events.kinds import EVENT_KEYS, read_event
from millrace.formats.serverless.ledger import Ledger
from millrace.formats.serverless.mending import event_list
from millrace.formats.serverless.plugins import WSGI_HANDLERS
from millrace.formats.serverless.reading import Reading
from millrace.formats.serverless.targets import destination, seconds

DEFAULT_TIMEOUT_S = 6
DEFAULT_MEMORY_MB = 1024
_DEPLOYMENT = Key("nothing to do")
FUNCTION_KEYS: Keys = {
    "handler": Key("yes", "module.function, with folders before it"),
    "name": Key("yes", "service-stage-key without it"),
    "description": Key("yes"),
    "runtime": Key("partly", "functions in Python run, in the Python that runs millrace"),
    "memorySize": Key("yes", "1024 without it"),
    "timeout": Key("yes", "6 without it"),
    "environment": Key("yes"),
    "events": Key("yes"),
    "reservedConcurrency": Key("yes", "as many processes, but at most one per core; one without it: `replicas`"),
    "provisionedConcurrency": Key("nothing to do"),
    "destinations": Key("yes"),
    "onError": Key("yes"),
    "maximumRetryAttempts": Key("yes"),
    "maximumEventAge": Key("yes"),
    "condition": Key("yes"),
    "module": Key("yes", "of the plugin python-requirements: the folder of the function's code"),
    "iamRoleStatements": Key("yes", "of the plugin iam-roles-per-function; compared, never enforced"),
    "iamRoleStatementsInherit": Key("yes"),
    "iamRoleStatementsName": Key("nothing to do"),
    "role": Key("nothing to do"),
    "layers": Key("yes", "those of the same file; for others, install what is in them"),
    "url": Key("no", "use an httpApi event"),
    "image": Key("no", "container images do not run here"),
    "fileSystemConfig": Key("no", "the function sees this machine's files"),
    "logs": Key("yes", "applicationLogLevel"),
    "ephemeralStorageSize": _DEPLOYMENT,
    **dict.fromkeys(
        (
            *("package", "tags", "vpc", "tracing", "versionFunction", "dependsOn", "kmsKeyArn", "awsKmsKeyArn"),
            *("disableLogs", "logRetentionInDays", "logDataProtectionPolicy", "architecture", "snapStart"),
            *("runtimeManagement", "permissionsBoundary", "recursiveLoop", "build", "vpcEndpointIds"),
        ),
        _DEPLOYMENT,
    ),
}
DESTINATION_KEYS: Keys = {"onSuccess": Key("yes"), "onFailure": Key("yes")}


def declared(section: Node | None, ledger: Ledger) -> dict[str, Node]:
    """The functions by key; those of a list of mappings all together."""
    found: dict[str, Node] = {}
    for part in items(section):
        if not isinstance(part.value, dict):
            ledger.refuse(part, "functions", "a mapping of functions by name", part.shown)
        for key, function in entries(part):
            if isinstance(function.value, dict):
                found[key] = function
            elif function.value is not None:
                ledger.refuse(function, f"functions.{key}", "a mapping with a handler", function.shown)
    return found


def aws_name(key: str, function: Node, service: str, stage: str) -> str:
    """What AWS calls a function."""
    return text_of(below(function, "name")) or f"{service}-{stage}-{key}"


def read_function(key: str, function: Node, provider: Node | None, reading: Reading) -> None:
    """A function without its events."""
    known = {**FUNCTION_KEYS, "runtime": Key("yes")}
    reading.ledger.examine(function, known, f"functions.{key}")
    reading.ledger.examine(below(function, "destinations"), DESTINATION_KEYS, f"functions.{key}.destinations")
    reading.ledger.examine(below(function, "logs"), LOGS_KEYS, f"functions.{key}.logs")
    put(reading.tree, ("functions", key), {}, function)
    made = reading.tree.value["functions"].value[key]
    settings: dict[str, Any] = {
        **_code(function, reading.wsgi),
        "name": aws_name(key, function, reading.service, reading.stage),
        **_given(function, "description"),
        "timeout": seconds(_setting("timeout", function, provider, DEFAULT_TIMEOUT_S)),
        "memory": measured(_setting("memorySize", function, provider, DEFAULT_MEMORY_MB), "MiB"),
    }
    if environment := of_function(key, function, provider, reading):
        settings["environment"] = environment
    if (reserved := below(function, "reservedConcurrency")) is not None:
        settings["replicas"] = side_by_side(reserved)
    for name, value in settings.items():
        put(made, (name,), value, function)


def read_calls(key: str, function: Node, reading: Reading) -> None:
    """How a function is called where nobody waits; after all functions are known, since some are destinations."""
    where = f"functions.{key}"
    calls: dict[str, Any] = {}
    if (tries := below(function, "maximumRetryAttempts")) is not None:
        calls["tries"] = integer(tries)
    if (age := below(function, "maximumEventAge")) is not None:
        calls["max_age"] = seconds(age)
    targets = {
        "on_success": (below(function, "destinations", "onSuccess"), f"{where}.destinations.onSuccess"),
        "on_failure": (below(function, "destinations", "onFailure"), f"{where}.destinations.onFailure"),
        "dead_letter": (below(function, "onError"), f"{where}.onError"),
    }
    for name, (node, described) in targets.items():
        if node is not None and (found := destination(node, described, reading)) is not None:
            calls[name] = found
    put(reading.tree, ("functions", key, "asynchronous"), calls, function)


def read_events(key: str, function: Node, provider: Node | None, reading: Reading) -> None:
    """A function's events."""
    events = below(function, "events")
    if events is None:
        return
    timeout = integer(_setting("timeout", function, provider, DEFAULT_TIMEOUT_S)).value
    timeout_s = timeout if isinstance(timeout, int) else DEFAULT_TIMEOUT_S
    for kind, node in event_list(events, f"functions.{key}.events", set(EVENT_KEYS), reading.ledger):
        short = reading.resolve(node) if is_call(node) else node  # `- sqs: !GetAtt Queue.Arn`
        read_event(Asked(key, kind, short, timeout_s, reading))


def _code(function: Node, wsgi: Node | None) -> dict[str, Any]:
    """The handler, or the application that a plugin's handler calls, and the folder of its code where one is said."""
    code: dict[str, Any] = {}
    if (handler := below(function, "handler")) is not None:
        written = text_of(handler).removeprefix("./")
        if wsgi is not None and written in WSGI_HANDLERS:
            code["wsgi"] = text(text_of(wsgi).replace("/", "."), wsgi)
        else:
            code["handler"] = text(written, handler)
    if (module := below(function, "module")) is not None:
        code["root"] = module
    return code


def _given(function: Node, name: str) -> dict[str, Any]:
    found = below(function, name)
    return {} if found is None else {name: found}


def _setting(name: str, function: Node, provider: Node | None, default: int) -> Node:
    """A function's own setting, or the provider's, or Serverless's default."""
    found = below(function, name) or below(provider, name)
    return Node(default, function.place, function.key_place) if found is None else found
