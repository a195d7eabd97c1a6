"""AWS's own translator, from SAM to CloudFormation, told everything that it would otherwise ask AWS for."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from millrace.config.faults import Fault, nearest
from millrace.config.tree import Node
from millrace.errors import MillraceError
from millrace.formats.cloudformation.surroundings import Surroundings
from millrace.formats.cloudformation.values import below
from millrace.formats.sam.places import Places

_PROPERTY = re.compile(r"[Pp]roperty '?(?P<name>\w+)'?")
_GLOBAL = re.compile(
    r"'(?P<key>\w+)' is not a supported property of '(?P<kind>\w+)'.*?\[(?P<known>[^\]]*)\]", re.DOTALL
)
_RESOURCE = re.compile(r"(?:Resource with id|Event with id) \[(?P<id>[^\]]*)\]")
# There is one version of a function, so that whatever calls an alias calls the function.
_VERSIONS = (
    "AutoPublishAlias",
    "AutoPublishAliasAllProperties",
    "AutoPublishCodeSha256",
    "DeploymentPreference",
    "ProvisionedConcurrencyConfig",
    "SnapStart",
)


class _Managed(dict[str, str]):
    """AWS's own policies by name, without asking AWS which there are."""

    def get(self, name: Any, default: Any = None) -> Any:
        return (
            f"arn:aws:iam::aws:policy/{name}" if isinstance(name, str) and re.fullmatch(r"[\w+=,.@-]+", name) else None
        )


def translate(
    plain: dict[str, Any], root: Node, values: Mapping[str, Any], at: Surroundings, faults: list[Fault]
) -> dict[str, Any] | None:
    """The template as CloudFormation has it, None where it cannot be translated. Raises MillraceError without `sam`."""
    try:
        from samtranslator.model.exceptions import InvalidDocumentException  # type: ignore[import-untyped]
        from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
        from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]
    except ImportError as error:
        raise MillraceError(
            f"reading a SAM template needs aws-sam-translator: {error}", "pip install 'millrace[sam]'"
        ) from error
    logging.getLogger("samtranslator").setLevel(logging.CRITICAL)  # its troubles are told as faults
    _leave_versions_out(plain)
    session: Any = SimpleNamespace(region_name=at.region)
    try:
        translator = Translator(None, Parser(), boto_session=session)
        found = translator.translate(
            plain,
            parameter_values={**at.pseudo_parameters, **values},
            get_managed_policy_map=_Managed,
        )
    except InvalidDocumentException as error:
        for cause in getattr(error, "causes", None) or [error]:
            faults.append(_fault(str(getattr(cause, "message", cause)), root))
        return None
    except Exception as error:  # the translator lets its own KeyError, TypeError and the like escape on odd templates
        faults.append(Fault(root.place, f"not a SAM template: {type(error).__name__}: {error}"))
        return None
    return found if isinstance(found.get("Resources"), dict) else None


def _leave_versions_out(plain: dict[str, Any]) -> None:
    shared = plain.get("Globals")
    functions: list[Any] = [shared.get("Function")] if isinstance(shared, dict) else []
    for resource in plain["Resources"].values():
        if resource.get("Type") == "AWS::Serverless::Function":
            functions.append(resource.get("Properties"))
    for properties in functions:
        if isinstance(properties, dict):
            for key in _VERSIONS:
                properties.pop(key, None)


def _fault(message: str, root: Node) -> Fault:
    """What the translator refuses, at the resource, the event or the global key that it names."""
    if (unknown := _GLOBAL.search(message)) is not None:
        return _unknown_global(root, **unknown.groupdict())
    node: Node = root
    for match in _RESOURCE.finditer(message):
        resource, event = Places(root).origin(match["id"])
        node = event or resource or node
    named = _PROPERTY.search(message)
    if named is not None and (culprit := below(node, "Properties", named["name"])) is not None:
        node = culprit
    text = " ".join(message.split())
    return Fault(node.key_place, text)


def _unknown_global(root: Node, key: str, kind: str, known: str) -> Fault:
    node = below(root, "Globals", kind, key) or root
    near = nearest(key, re.findall(r"\w+", known))
    return Fault(node.key_place, f"Globals.{kind}: SAM takes no {key} for all", near=near)
