"""`resources`, and what Serverless itself adds to them, as one CloudFormation template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from millrace.config.tree import Node, overlay
from millrace.formats.cloudformation.values import below, entries, items, text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import node as made
from millrace.formats.serverless.ledger import Ledger
from millrace.formats.serverless.naming import bucket_id, function_id, topic_id

_SECTIONS = ("Parameters", "Mappings", "Conditions", "Resources", "Outputs")
RESOURCES_KEYS: Keys = {
    "Parameters": Key("yes"),
    "Mappings": Key("yes"),
    "Conditions": Key("yes"),
    "Resources": Key("yes"),
    "Outputs": Key("yes"),
    "extensions": Key("yes"),
    "AWSTemplateFormatVersion": Key("nothing to do"),
    "Description": Key("nothing to do"),
    "Metadata": Key("nothing to do"),
    "Transform": Key("no", "macros run at AWS alone"),
    "Rules": Key("no", "parameters are taken as they are"),
    "Hooks": Key("nothing to do"),
}
# What Serverless makes whether or not it is asked, so that a Ref to it means something.
_TOPIC = "AWS::SNS::Topic"
ALWAYS = {
    "ServerlessDeploymentBucket": "AWS::S3::Bucket",
    "IamRoleLambdaExecution": "AWS::IAM::Role",
    "ApiGatewayRestApi": "AWS::ApiGateway::RestApi",
    "HttpApi": "AWS::ApiGatewayV2::Api",
}


class Made(NamedTuple):
    """A function by its name in AWS, as written, with the role that stands elsewhere."""

    name: str
    node: Node
    role: Node | None


def template(
    resources: Node | None,
    functions: Mapping[str, Made],
    buckets: Mapping[str, str],
    lifted: Mapping[str, Node],
    root: Node,
    ledger: Ledger,
) -> tuple[Node, set[str]]:
    """The template and the logical ids of what Serverless adds; `buckets` are the names of provider.s3's by key.

    `lifted` are the resources that constructs make.
    """
    whole = Node({}, root.place, root.key_place)
    for part in items(resources):
        if not isinstance(part.value, dict):
            ledger.refuse(part, "resources", "a mapping with `Resources:`", part.shown)
            continue
        ledger.examine(part, RESOURCES_KEYS, "resources")
        for section in _SECTIONS:
            if (found := below(part, section)) is not None:
                before = whole.value.get(section)
                whole.value[section] = found if before is None else overlay(before, found)
    own = {**_own(functions, buckets, root), **lifted}
    for part in items(resources):
        for name, extension in entries(below(part, "extensions")):
            own[name] = overlay(own.get(name, Node({}, extension.place, extension.key_place)), extension)
    declared = whole.value.get("Resources") or Node({}, root.place, root.key_place)
    if not isinstance(declared.value, dict):
        ledger.refuse(declared, "resources.Resources", "a mapping", declared.shown)
        declared = Node({}, root.place, root.key_place)
    added = {name for name in own if name not in declared.value}
    both = {name: overlay(node, declared.value[name]) if name in declared.value else node for name, node in own.items()}
    whole.value["Resources"] = Node({**declared.value, **both}, declared.place, declared.key_place)
    return whole, added


def _own(functions: Mapping[str, Made], buckets: Mapping[str, str], root: Node) -> dict[str, Node]:
    """Functions, roles and gateways, and the topics and buckets that events make."""
    own = {name: made({"Type": kind}, root) for name, kind in ALWAYS.items()}
    for key, function in functions.items():
        resource = _resource("AWS::Lambda::Function", "FunctionName", function.name, function.node)
        if (condition := below(function.node, "condition")) is not None:
            resource.value["Condition"] = condition
        if function.role is not None:
            resource.value["Properties"].value["Role"] = function.role
        own[function_id(key)] = resource
        for event in items(below(function.node, "events")):
            own |= _of_event(event, buckets)
    return own


def _of_event(event: Node, buckets: Mapping[str, str]) -> dict[str, Node]:
    bucket, topic = event.child("s3"), event.child("sns")
    if bucket is not None and below(bucket, "existing") is None and (name := _named(bucket, "bucket")):
        return {bucket_id(name): _resource("AWS::S3::Bucket", "BucketName", buckets.get(name, name), bucket)}
    if topic is not None and below(topic, "arn") is None and (name := _named(topic, "topicName")):
        return {} if name.startswith("arn:") else {topic_id(name): _resource(_TOPIC, "TopicName", name, topic)}
    return {}


def _named(node: Node, key: str) -> str:
    return text_of(node) or text_of(below(node, key))


def _resource(kind: str, key: str, name: str, like: Node) -> Node:
    return made({"Type": kind, "Properties": {key: name}}, like)
