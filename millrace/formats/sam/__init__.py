"""template.yaml of AWS SAM and of plain CloudFormation → a project in millrace.yml's words."""

from __future__ import annotations

import re
from typing import Any

from millrace.config.faults import Fault, Place
from millrace.config.load import content_of, name_of
from millrace.config.tree import Node
from millrace.formats.cloudformation.contribute import contribute
from millrace.formats.cloudformation.dependencies import circular
from millrace.formats.cloudformation.grants import grants
from millrace.formats.cloudformation.loops import MARK, unrolled
from millrace.formats.cloudformation.stack import Stack
from millrace.formats.cloudformation.surroundings import Surroundings
from millrace.formats.cloudformation.values import entries, items, text_of
from millrace.formats.documents import read_document
from millrace.formats.iam.policy import Policy, statements
from millrace.formats.nodes import mapping, put
from millrace.formats.reader import Draft, Request
from millrace.formats.sam.cache import keep, kept, key_of
from millrace.formats.sam.config import SamConfig, read_config
from millrace.formats.sam.examine import examine_template, leave_out_events
from millrace.formats.sam.local import local_paths, put_addresses, put_paths, read_descriptions
from millrace.formats.sam.places import Places
from millrace.formats.sam.translate import translate

_SAM = "AWS::Serverless"
_LONGEST = 40


def read(request: Request) -> Draft:
    """The draft of a template. Raises MillraceError where it is SAM's and aws-sam-translator is not there."""
    draft = Draft(None)
    source = name_of(request.file)
    content = content_of(request.file)
    root = read_document(content, source, draft.faults)
    if root is None or not isinstance(root.value, dict):
        if not draft.faults:
            got = "" if root is None else root.shown
            draft.faults.append(Fault(Place(source, 1, 1), "a template", "a mapping with Resources", got))
        return draft
    if not isinstance(resources := root.child("Resources"), Node) or not isinstance(resources.value, dict):
        draft.faults.append(Fault((resources or root).place, "the template has no Resources", "at least one"))
        return draft
    config = read_config(request.file.resolve().parent, request.stage, draft.faults)
    config.put_defaults(root)
    at = surroundings_of(request, config)
    if MARK.encode() in content:
        root = unrolled(root, Stack(root, at, []).resolve, draft.faults)
    stack = _stack(root, at, request, draft)
    if stack is not None:
        draft.tree = _tree(stack, root, request, draft)
        draft.faults += [*stack.unknown_parameters(), *circular(stack)]
    return draft


def surroundings_of(request: Request, config: SamConfig) -> Surroundings:
    """The stack is called as `sam deploy` would call it, or as its folder is."""
    folder = request.file.resolve().parent.name
    name = re.sub(r"[^A-Za-z0-9]+", "-", folder).strip("-")[:_LONGEST].rstrip("-")
    stack = name if name[:1].isalpha() else f"app-{name}".rstrip("-")
    said = {"region": config.region} if config.region else {}
    return Surroundings(
        stack=config.stack or stack,
        stage=request.stage or "dev",
        parameters=request.parameters,
        endpoint=request.endpoint,
        **said,
    )


def _stack(root: Node, at: Surroundings, request: Request, draft: Draft) -> Stack | None:
    """The template as CloudFormation has it; None, with faults, where SAM's translator refuses it."""
    if not _is_sam(root):
        return Stack(root, at, draft.faults)
    examine_template(root, draft)
    read_descriptions(root, request.file.resolve().parent, draft.faults)
    before = Stack(root, at, [])  # whose faults are told again by the stack of what is translated
    paths = local_paths(root, before)
    values = {name: _joined(value) for name, value in before.parameters.items() if value.written is None}
    plain = root.plain()
    if not all(isinstance(each, dict) for each in plain["Resources"].values()):
        Stack(root, at, draft.faults).resources  # noqa: B018 - says which are none
        return None
    for name in before.parameters.keys() - values.keys():
        plain["Parameters"][name].pop("Default", None)  # the translator needs no secrets, and its work is kept
    put_addresses(plain, paths)
    leave_out_events(plain)
    folder = request.file.resolve().parent
    key = key_of(plain, values, at.region)
    translated = kept(folder, key) or translate(plain, root, values, at, draft.faults)
    if translated is None:
        Stack(root, at, draft.faults)  # tells what is wrong with the parameters as well
        return None
    keep(folder, key, translated)
    put_paths(translated, paths)
    originals = dict(entries(root.child("Resources")))
    made = {
        name for name in translated["Resources"] if name not in originals or _type(originals[name]).startswith(_SAM)
    }
    return Stack(Places(root).template(translated), at, draft.faults, made)


def _tree(stack: Stack, root: Node, request: Request, draft: Draft) -> Node:
    at = stack.surroundings
    tree = mapping(root.place)
    put(tree, ["service"], at.stack, root)
    if request.stage is not None:
        put(tree, ["stage"], request.stage, root)
    put(tree, ["aws"], {"account": at.account, "region": at.region}, root)
    contribute(stack, tree, draft)
    draft.policies = {name: Policy(tuple(statements(*each)), polls=False) for name, each in grants(stack).items()}
    return tree


def _is_sam(root: Node) -> bool:
    transforms = [text_of(each) for each in items(root.child("Transform"))]
    kinds = (_type(resource) for _, resource in entries(root.child("Resources")))
    return any(each.startswith(_SAM) for each in (*transforms, *kinds))


def _type(resource: Node) -> str:
    return text_of(resource.child("Type"))


def _joined(value: Node) -> Any:
    plain = value.plain()
    return ",".join(map(str, plain)) if isinstance(plain, list) else plain
