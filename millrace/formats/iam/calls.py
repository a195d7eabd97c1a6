"""The AWS actions that a handler's code calls through boto3, read from its text without importing it.

    module → its syntax tree, and those of the project's own modules that it imports → what of them the handler reaches
    → clients and resources by the names they are given → methods called on them → actions

What is found is certain; what is not found may still be there (a client that comes out of a function, a name that is
computed), so nothing is concluded from silence.
Which action guards which call: AWS Service Authorization Reference.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from millrace.formats.iam.reached import without_unreached

_MAX_BYTES = 1_000_000
_MAX_MODULES = 50
# Methods of every client that call nothing by themselves.
_NO_CALLS = {
    "can_paginate",
    "close",
    "get_paginator",
    "get_waiter",
    "generate_presigned_url",
    "generate_presigned_post",
}
# Where the action is not the method's name in camel case.
_ACTIONS = {
    ("s3", "list_objects"): ("ListBucket",),
    ("s3", "list_objects_v2"): ("ListBucket",),
    ("s3", "list_buckets"): ("ListAllMyBuckets",),
    ("s3", "head_bucket"): ("ListBucket",),
    ("s3", "head_object"): ("GetObject",),
    ("s3", "download_file"): ("GetObject",),
    ("s3", "download_fileobj"): ("GetObject",),
    ("s3", "upload_file"): ("PutObject",),
    ("s3", "upload_fileobj"): ("PutObject",),
    ("s3", "put"): ("PutObject",),
    ("s3", "get"): ("GetObject",),
    ("s3", "copy_object"): ("GetObject", "PutObject"),
    ("s3", "delete_objects"): ("DeleteObject",),
    ("s3", "create_multipart_upload"): ("PutObject",),
    ("s3", "upload_part"): ("PutObject",),
    ("s3", "complete_multipart_upload"): ("PutObject",),
    ("sqs", "send_message_batch"): ("SendMessage",),
    ("sqs", "send_messages"): ("SendMessage",),
    ("sqs", "delete_message_batch"): ("DeleteMessage",),
    ("sqs", "delete_messages"): ("DeleteMessage",),
    ("sqs", "receive_messages"): ("ReceiveMessage",),
    ("sqs", "change_message_visibility_batch"): ("ChangeMessageVisibility",),
    ("sqs", "get_queue_by_name"): ("GetQueueUrl",),
    ("sns", "publish_batch"): ("Publish",),
    ("lambda", "invoke"): ("InvokeFunction",),
    ("dynamodb", "batch_writer"): ("BatchWriteItem",),
    ("dynamodb", "transact_get_items"): ("GetItem",),
    ("dynamodb", "transact_write_items"): ("PutItem",),
}
# The argument that names the resource, and what makes an ARN of it.
_NAMING = {
    "QueueName": "sqs",
    "TableName": "dynamodb",
    "Bucket": "s3",
    "TopicArn": "sns",
    "FunctionName": "lambda",
}
# Methods of a boto3 resource that make a thing with methods of its own; the first argument names it.
_MAKERS = {
    "Table": "dynamodb",
    "Bucket": "s3",
    "Object": "s3",
    "Queue": "sqs",
    "Topic": "sns",
    "get_queue_by_name": "sqs",
}


class Call(NamedTuple):
    """An action such as sqs:SendMessage, the name of its resource where the text says it, and where it stands."""

    action: str
    resource: str
    file: Path
    line: int


def calls(module: Path, handler: str, root: Path) -> list[Call]:
    """Every call that a handler can come to, in its module and the project's others, in order. Never raises."""
    found: list[Call] = []
    files, trees = [], []
    for file, tree in _modules(module, root):
        files.append(file)
        trees.append(tree)
    for file, tree in zip(files, without_unreached(trees, handler), strict=True):
        reader = _Reader(file)
        reader.visit(tree)
        found += reader.calls
    return found


def _modules(module: Path, root: Path) -> Iterator[tuple[Path, ast.Module]]:
    waiting, seen = [module], {module}
    while waiting and len(seen) <= _MAX_MODULES:
        file = waiting.pop(0)
        tree = _parse(file)
        if tree is None:
            continue
        yield file, tree
        for name in _imported(tree):
            for base in (root, file.parent):
                path = base.joinpath(*name.split("."))
                for each in (path.with_suffix(".py"), path / "__init__.py"):
                    if each not in seen and each.is_file():
                        seen.add(each)
                        waiting.append(each)


def _parse(file: Path) -> ast.Module | None:
    try:
        if file.stat().st_size > _MAX_BYTES:
            return None
        return ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class _Reader(ast.NodeVisitor):
    """Reads one module from top to bottom; names are taken to mean one thing in all of it."""

    def __init__(self, file: Path) -> None:
        self.calls: list[Call] = []
        self._file = file
        self._things: dict[str, tuple[str, str]] = {}  # name → service and resource
        self._texts: dict[str, str] = {}

    def visit_Assign(self, node: ast.Assign) -> None:
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                self._texts[name] = node.value.value
            elif thing := self._thing(node.value):
                self._things[name] = thing
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            thing = self._thing(item.context_expr)
            if thing and isinstance(item.optional_vars, ast.Name):
                self._things[item.optional_vars.id] = thing
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and (thing := self._thing(node.func.value)):
            service, resource = thing
            method = node.func.attr
            if method not in _MAKERS or (service, method) in _ACTIONS:
                for action in self._actions(service, method):
                    name = self._named(node, service) or resource
                    self.calls.append(Call(f"{service}:{action}", name, self._file, node.lineno))
        self.generic_visit(node)

    def _actions(self, service: str, method: str) -> tuple[str, ...]:
        if method in _NO_CALLS or not method.islower():
            return ()
        return _ACTIONS.get((service, method)) or ("".join(part.capitalize() for part in method.split("_")),)

    def _thing(self, node: ast.expr) -> tuple[str, str] | None:
        """What an expression is: a client or resource of a service, and the name of its resource."""
        if isinstance(node, ast.Name):
            return self._things.get(node.id)
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            return None
        method, holder = node.func.attr, node.func.value
        if method in ("client", "resource"):
            service = self._text(node.args[0]) if node.args else self._keyword(node, "service_name")
            return (service, "") if service else None
        made = self._thing(holder)
        if made and method in _MAKERS:
            name = self._text(node.args[0]) if node.args else self._named(node, made[0])
            return made[0], name
        if made and method == "batch_writer":
            return made
        return None

    def _named(self, node: ast.Call, service: str) -> str:
        for keyword in node.keywords:
            if keyword.arg is not None and _NAMING.get(keyword.arg) == service:
                return self._text(keyword.value).rpartition(":")[2]
        return ""

    def _keyword(self, node: ast.Call, name: str) -> str:
        return next((self._text(each.value) for each in node.keywords if each.arg == name), "")

    def _text(self, node: ast.expr) -> str:
        """A text that stands there or under a name of the module, "" where it is computed."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        return self._texts.get(node.id, "") if isinstance(node, ast.Name) else ""
