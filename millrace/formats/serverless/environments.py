"""Environment variables of functions, and the layers whose packages a function finds through one of them."""

from __future__ import annotations

import posixpath
from typing import Any

from millrace.config.check import is_below
from millrace.config.tree import Node
from millrace.formats.cloudformation.lambdas import LOG_LEVEL
from millrace.formats.cloudformation.values import below, entries, items, text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import text
from millrace.formats.serverless.naming import normalized
from millrace.formats.serverless.reading import Reading

_PATH = "PYTHONPATH"
LOGS_KEYS: Keys = {
    "applicationLogLevel": Key("yes"),
    **dict.fromkeys(("logFormat", "logGroup", "systemLogLevel"), Key("nothing to do", "see `millrace logs`")),
}


def variables(node: Node | None, reading: Reading) -> dict[str, Any]:
    """The variables that have a value; null takes one out."""
    found = None if node is None else reading.resolve(node)
    return {name: value for name, value in entries(found) if value.value is not None}


def of_function(key: str, function: Node, provider: Node | None, reading: Reading) -> dict[str, Any]:
    """A function's own variables, with the folders of its layers; a warning where null should hide the provider's."""
    own, shared = below(function, "environment"), below(provider, "environment")
    found = variables(own, reading)
    for name, value in entries(own):
        if value.value is None and below(shared, name) is not None:
            reading.ledger.warn(value, f"functions.{key}: null does not take the provider's {name} away here")
    level = below(function, "logs", "applicationLogLevel") or below(provider, "logs", "lambda", "applicationLogLevel")
    if level is not None and LOG_LEVEL not in {**found, **dict(entries(shared))}:
        found[LOG_LEVEL] = level
    layers = below(function, "layers") or below(provider, "layers")
    where = "provider" if below(function, "layers") is None else f"functions.{key}"
    folders = [folder for each in items(layers) if (folder := _folder(where, each, function, reading))]
    if folders and layers is not None:
        behind = text_of(found.get(_PATH) or below(shared, _PATH))
        found[_PATH] = text(":".join([*folders, *([behind] if behind else [])]), layers)
    return found


def _folder(where: str, layer: Node, function: Node, reading: Reading) -> str:
    """Where a layer's packages lie as seen from the function's folder; empty, with a warning, where it is not here."""
    name = text_of(below(layer, "Ref"))
    for declared, described in entries(reading.layers):
        folder = text_of(below(described, "path"))
        if name == f"{normalized(declared)}LambdaLayer" and folder and is_below(folder):
            root = text_of(below(function, "module"))
            return posixpath.relpath(posixpath.join("/", folder, "python"), posixpath.join("/", root))
    what = f"{where}: a layer that lies at AWS: install what is in it"
    reading.ledger.warn(layer, what, "one of this file's `layers:`, as {Ref: NameLambdaLayer}")
    return ""
