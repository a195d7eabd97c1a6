"""Files beside a template that it names: code stays a folder's name, descriptions of APIs are read in.

The translator takes nothing but addresses in S3, as a deployment would have put in their place. So each local path is
replaced by an address that is the resource's own, and put back afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from millrace.config.faults import Fault
from millrace.config.reading import MAX_BYTES
from millrace.config.tree import Node
from millrace.formats.cloudformation.stack import Stack
from millrace.formats.cloudformation.values import below, entries, text_of
from millrace.formats.documents import read_document

BUCKET = "millrace-local"
_PATHS = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
_DESCRIPTIONS = {
    "AWS::Serverless::Api": ("DefinitionUri", "DefinitionBody"),
    "AWS::Serverless::HttpApi": ("DefinitionUri", "DefinitionBody"),
    "AWS::Serverless::StateMachine": ("DefinitionUri", "Definition"),
}
_IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/image:latest"


def local_paths(root: Node, stack: Stack) -> dict[str, Node]:
    """The folder of each function and layer, by logical id; those that lie at AWS already are left out."""
    found = {}
    for name, resource in entries(root.child("Resources")):
        key = _PATHS.get(text_of(resource.child("Type")))
        said = None if key is None else _said(root, resource, key)
        if said is not None and (path := text_of(stack.resolve(said))) and not path.startswith("s3://"):
            found[name] = Node(path, said.place, said.key_place)
    return found


def put_addresses(plain: dict[str, Any], paths: dict[str, Node]) -> None:
    """Replace local paths by addresses, in the template that the translator gets."""
    for each in ("Function", "LayerVersion"):
        for key in ("CodeUri", "ContentUri"):
            _properties(plain.get("Globals"), each).pop(key, None)
    for name, resource in plain["Resources"].items():
        word = _PATHS.get(str(resource.get("Type")))
        properties = resource.setdefault("Properties", {}) if word is not None else None
        if word is None or not isinstance(properties, dict):
            continue
        if properties.get("PackageType") == "Image":
            properties.setdefault("ImageUri", _IMAGE)
        elif name in paths or not properties.keys() & {word, "InlineCode", "ImageUri"}:
            properties[word] = f"s3://{BUCKET}/{name}"


def put_paths(translated: dict[str, Any], paths: dict[str, Node]) -> None:
    """Put local paths back where the translator wrote their addresses."""
    for resource in translated["Resources"].values():
        properties = resource.get("Properties")
        for key in ("Code", "Content") if isinstance(properties, dict) else ():
            address = properties.get(key)
            if isinstance(address, dict) and address.get("S3Bucket") == BUCKET:
                path = paths.get(str(address.get("S3Key")))
                properties[key] = "." if path is None else path.value


def read_descriptions(root: Node, folder: Path, faults: list[Fault]) -> None:
    """Read in the descriptions of APIs and state machines that lie beside the template."""
    for _, resource in entries(root.child("Resources")):
        keys = _DESCRIPTIONS.get(text_of(resource.child("Type")))
        properties = resource.child("Properties")
        if keys is None or properties is None or not isinstance(properties.value, dict):
            continue
        uri, body = keys
        said = properties.child(uri) or _included(properties.child(body))
        if said is not None and text_of(said) and not text_of(said).startswith("s3://"):
            found = _read(folder, said, faults)
            properties.value.pop(uri, None)
            properties.value[body] = found if found is not None else Node({}, said.place, said.key_place)


def _included(body: Node | None) -> Node | None:
    """What {"Fn::Transform": {"Name": "AWS::Include"}} includes."""
    transform = below(body, "Fn::Transform")
    if transform is None or text_of(transform.child("Name")) != "AWS::Include":
        return None
    return below(transform, "Parameters", "Location")


def _read(folder: Path, said: Node, faults: list[Fault]) -> Node | None:
    """A file of the project; one outside of it is not opened."""
    try:
        file = (folder / text_of(said)).resolve()
        if not file.is_relative_to(folder.resolve()):
            faults.append(Fault(said.place, "a file outside of the project", "one below the template's folder"))
            return None
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        faults.append(Fault(said.place, f"cannot read {text_of(said)}", "a file of the project", str(error)))
        return None
    return read_document(data, text_of(said), faults)


def _said(root: Node, resource: Node, key: str) -> Node | None:
    kind = text_of(resource.child("Type")).rpartition("::")[2]
    return below(resource, "Properties", key) or below(root, "Globals", kind, key)


def _properties(section: Any, key: str) -> dict[str, Any]:
    found = section.get(key) if isinstance(section, dict) else None
    return found if isinstance(found, dict) else {}
