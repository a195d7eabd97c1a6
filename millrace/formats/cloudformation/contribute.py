"""A stack's resources in millrace.yml's words: what can be called first, then what calls it, then all the rest."""

from __future__ import annotations

from collections.abc import Callable

from millrace.config.faults import nearest
from millrace.config.tree import Node
from millrace.formats.cloudformation.api_keys import add_api_key, examine_usage_plan
from millrace.formats.cloudformation.buckets import ENDPOINTS_OWN, add_bucket, add_notifications, needs_endpoint
from millrace.formats.cloudformation.event_sources import add_mapping
from millrace.formats.cloudformation.gateways import add_http_api, add_method, add_rest_api, add_urls
from millrace.formats.cloudformation.identities import IDENTITIES, identity_of
from millrace.formats.cloudformation.invoke_configs import add_invoke_config
from millrace.formats.cloudformation.lambdas import add_dead_letter, add_function
from millrace.formats.cloudformation.queues import add_queue, add_redrive
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.rules import add_rule, add_schedule, has_other_targets
from millrace.formats.cloudformation.stack import Stack
from millrace.formats.cloudformation.tables import add_table
from millrace.formats.cloudformation.topics import add_own_subscriptions, add_subscription, add_topic
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys, Tally
from millrace.formats.nodes import node

Add = Callable[[Weave, Resource], None]

# In this order: each step may look up what the steps before have declared.
_STEPS: tuple[tuple[str, Add], ...] = (
    ("AWS::SQS::Queue", add_queue),
    ("AWS::DynamoDB::Table", add_table),
    ("AWS::S3::Bucket", add_bucket),
    ("AWS::SNS::Topic", add_topic),
    ("AWS::Lambda::Function", add_function),
    ("AWS::SQS::Queue", add_redrive),
    ("AWS::Lambda::Function", add_dead_letter),
    ("AWS::Lambda::EventInvokeConfig", add_invoke_config),
    ("AWS::Lambda::EventSourceMapping", add_mapping),
    ("AWS::S3::Bucket", add_notifications),
    ("AWS::SNS::Topic", add_own_subscriptions),
    ("AWS::SNS::Subscription", add_subscription),
    ("AWS::Events::Rule", add_rule),
    ("AWS::Scheduler::Schedule", add_schedule),
    ("AWS::ApiGateway::RestApi", add_rest_api),
    ("AWS::ApiGateway::Method", add_method),
    ("AWS::ApiGatewayV2::Api", add_http_api),
    ("AWS::ApiGateway::ApiKey", add_api_key),
    ("AWS::ApiGateway::UsagePlan", examine_usage_plan),
)
_ENDPOINT = Key("yes", "made by the local endpoint")
_NOTHING = Key("nothing to do")

RESOURCE_KEYS: Keys = {
    **{kind: Key("yes") for kind, _ in _STEPS},
    "AWS::ApiGateway::UsagePlan": Key("nothing to do", "its limits do not hold here"),
    "AWS::Lambda::Url": Key("yes", "every path of the gateway, or those below the function's name"),
    "AWS::Lambda::Permission": Key("nothing to do", "everybody in the project may call"),
    "AWS::Lambda::Version": Key("nothing to do", "there is one version of a function"),
    "AWS::Lambda::Alias": Key("nothing to do", "there is one version of a function"),
    "AWS::Lambda::LayerVersion": Key("yes", "layers whose folder lies beside the template"),
    "AWS::Lambda::LayerVersionPermission": _NOTHING,
    "AWS::Logs::SubscriptionFilter": Key("no", "logs call no function"),
    "AWS::Logs::LogGroup": Key("nothing to do", "see `millrace logs`"),
    "AWS::ApiGateway::Resource": Key("yes"),
    "AWS::ApiGatewayV2::Route": Key("yes"),
    "AWS::ApiGatewayV2::Integration": Key("yes"),
    "AWS::ApiGateway::Authorizer": Key("no", "every caller may call"),
    "AWS::ApiGatewayV2::Authorizer": Key("no", "every caller may call"),
    **{
        f"AWS::ApiGateway::{name}": _NOTHING
        for name in (
            "Account",
            "BasePathMapping",
            "Deployment",
            "DomainName",
            "GatewayResponse",
            "Model",
            "RequestValidator",
            "Stage",
            "UsagePlanKey",
        )
    },
    **{f"AWS::ApiGatewayV2::{name}": _NOTHING for name in ("ApiMapping", "Deployment", "DomainName", "Stage")},
    **{
        f"AWS::IAM::{name}": Key("nothing to do", "functions may do everything; `millrace check` reads the statements")
        for name in ("ManagedPolicy", "Policy", "Role", "RolePolicy")
    },
    **dict.fromkeys(
        (
            "AWS::CDK::Metadata",
            "AWS::CertificateManager::Certificate",
            "AWS::CloudFormation::WaitConditionHandle",
            "AWS::CloudFront::Distribution",
            "AWS::CloudWatch::Alarm",
            "AWS::CloudWatch::Dashboard",
            "AWS::CodeDeploy::Application",
            "AWS::CodeDeploy::DeploymentGroup",
            "AWS::Route53::RecordSet",
            "AWS::Route53::RecordSetGroup",
            "AWS::S3::BucketPolicy",
            "AWS::SNS::TopicPolicy",
            "AWS::SQS::QueuePolicy",
        ),
        _NOTHING,
    ),
    **dict.fromkeys(
        (
            "AWS::ECR::Repository",
            "AWS::Events::Archive",
            "AWS::Events::EventBus",
            "AWS::KMS::Alias",
            "AWS::KMS::Key",
            "AWS::Kinesis::Stream",
            "AWS::SSM::Document",
            "AWS::SSM::Parameter",
            "AWS::SecretsManager::Secret",
            "AWS::StepFunctions::StateMachine",
        ),
        _ENDPOINT,
    ),
}
_TO_ENDPOINT = {kind for kind, key in RESOURCE_KEYS.items() if key is _ENDPOINT} | {"AWS::DynamoDB::Table"}


def contribute(stack: Stack, tree: Node, tally: Tally) -> None:
    """Put a stack's resources into the tree; functions that another reader has put there keep their keys.

    A function is found by its AWS name: `name`, or its key where it has none.
    """
    weave = Weave(stack, tree, tally)
    for resource in stack.resources.values():
        _count(weave, tally, resource)
    for kind, add in _STEPS:
        for resource in stack.of(kind):
            add(weave, resource)
    add_urls(weave)
    for resource in stack.resources.values():
        if _is_endpoints(resource):
            weave.put(["aws", "resources", resource.logical_id], _for_endpoint(stack, resource), resource.node)


def _count(weave: Weave, tally: Tally, resource: Resource) -> None:
    """A resource counts as one key, whose support is its type's."""
    if resource.generated:
        return
    kind = resource.node.child("Type") or resource.node
    key = RESOURCE_KEYS.get(resource.type)
    tally.keys += 1
    tally.understood += key is not None and key.support in ("yes", "nothing to do")
    if key is None:
        near = nearest(resource.type, _like(resource.type)) if resource.type not in IDENTITIES else ""
        guess = f"; did you mean {near}?" if near else ""
        weave.warn(kind, f"{resource.logical_id}: {resource.type} is made by nothing here: left aside{guess}")
    elif key.support in ("partly", "no"):
        weave.warn(kind, f"{resource.logical_id}: {resource.type} does nothing here: {key.note}")


def _like(kind: str) -> list[str]:
    """The types of the same service, which one that is not known may have been meant to be."""
    return [each for each in RESOURCE_KEYS if each.split("::")[:2] == kind.split("::")[:2]]


def _is_endpoints(resource: Resource) -> bool:
    """Whether the local endpoint must make a resource, or the part of it that is not in millrace.yml's words."""
    if resource.type == "AWS::S3::Bucket":
        return needs_endpoint(resource)
    if resource.type == "AWS::Events::Rule":
        return has_other_targets(resource)
    return resource.type in _TO_ENDPOINT


def _for_endpoint(stack: Stack, resource: Resource) -> dict[str, Node]:
    """A resource as CloudFormation has it, its name filled in; functions that S3 calls are events already."""
    properties = dict(resource.properties.value)
    like = resource.properties
    if name_key := identity_of(resource.type).name_key:
        properties.setdefault(name_key, node(stack.name_of(resource.logical_id), like))
    notifies = properties.pop("NotificationConfiguration", None)
    if notifies is not None and isinstance(notifies.value, dict):
        kept = {key: value for key, value in notifies.value.items() if key in ENDPOINTS_OWN}
        if kept:
            properties["NotificationConfiguration"] = Node(kept, notifies.place, notifies.key_place)
    return {"Type": node(resource.type, like), "Properties": Node(properties, like.place, like.key_place)}
