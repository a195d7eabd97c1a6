"""What a resource is called, and what Ref and Fn::GetAtt give of it: one entry for each type.

Source: AWS CloudFormation's resource reference, "Return values" of each type. Names that the template leaves to
CloudFormation are `<stack>-<LogicalId>`: stable from one start to the next, and told apart by stack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b

import msgspec

from millrace.formats.cloudformation.surroundings import Surroundings

Give = Callable[["Named"], str]


class Named(msgspec.Struct, frozen=True):
    """A resource with its name; `value` is an SSM parameter's."""

    logical_id: str
    name: str
    at: Surroundings
    value: str = ""

    @property
    def short_id(self) -> str:
        """Ten letters and digits, as API Gateway gives ids, the same at each start."""
        return blake2b(f"{self.at.stack}/{self.logical_id}".encode(), digest_size=5).hexdigest()

    @property
    def queue_url(self) -> str:
        """Where SQS's clients find a queue."""
        return f"{self.at.endpoint}/{self.at.account}/{self.name}"

    def arn(
        self, service: str, prefix: str = "", *, regional: bool = True, owned: bool = True, suffix: str = ""
    ) -> str:
        """The ARN whose resource is the prefix and the name."""
        return self.at.arn(service, f"{prefix}{self.name}{suffix}", regional=regional, owned=owned)


class Identity(msgspec.Struct, frozen=True):
    """`name_key` is the property with the name; `ref` and `attributes` are made of the name."""

    name_key: str = ""
    ref: Give = lambda it: it.name
    attributes: Mapping[str, Give] = msgspec.field(default_factory=dict)
    arn: Give | None = None
    longest: int = 255
    lower: bool = False


def _arn(service: str, prefix: str = "", *, regional: bool = True, owned: bool = True, suffix: str = "") -> Give:
    return lambda it: it.arn(service, prefix, regional=regional, owned=owned, suffix=suffix)


def _bucket_domain(it: Named) -> str:
    return f"{it.name}.s3.amazonaws.com"


_QUEUE = _arn("sqs")
_TOPIC = _arn("sns")
_TABLE = _arn("dynamodb", "table/")
_BUCKET = _arn("s3", regional=False, owned=False)
_FUNCTION = _arn("lambda", "function:")
_ROLE = _arn("iam", "role/", regional=False)
_POLICY = _arn("iam", "policy/", regional=False)
_RULE = _arn("events", "rule/")
_BUS = _arn("events", "event-bus/")
_LOGS = _arn("logs", "log-group:", suffix=":*")
_STREAM = _arn("kinesis", "stream/")
_MACHINE = _arn("states", "stateMachine:")
_SECRET = _arn("secretsmanager", "secret:")
_KEY = _arn("kms", "key/")
_LAYER = _arn("lambda", "layer:", suffix=":1")
_VERSION = _arn("lambda", "function:", suffix=":1")

IDENTITIES: Mapping[str, Identity] = {
    "AWS::SQS::Queue": Identity(
        "QueueName",
        lambda it: it.queue_url,
        {"Arn": _QUEUE, "QueueName": lambda it: it.name, "QueueUrl": lambda it: it.queue_url},
        _QUEUE,
        longest=80,
    ),
    "AWS::SNS::Topic": Identity(
        "TopicName", _TOPIC, {"TopicArn": _TOPIC, "TopicName": lambda it: it.name}, _TOPIC, longest=256
    ),
    "AWS::DynamoDB::Table": Identity(
        "TableName",
        attributes={
            "Arn": _TABLE,
            "StreamArn": lambda it: it.arn("dynamodb", "table/", suffix=f"/stream/{it.at.stage or 'local'}"),
        },
        arn=_TABLE,
    ),
    "AWS::S3::Bucket": Identity(
        "BucketName",
        attributes={
            "Arn": _BUCKET,
            "DomainName": _bucket_domain,
            "DualStackDomainName": lambda it: f"{it.name}.s3.dualstack.{it.at.region}.amazonaws.com",
            "RegionalDomainName": lambda it: f"{it.name}.s3.{it.at.region}.amazonaws.com",
            "WebsiteURL": lambda it: f"http://{it.name}.s3-website-{it.at.region}.amazonaws.com",
        },
        arn=_BUCKET,
        longest=63,
        lower=True,
    ),
    "AWS::Lambda::Function": Identity("FunctionName", attributes={"Arn": _FUNCTION}, arn=_FUNCTION, longest=64),
    "AWS::Lambda::Url": Identity(
        attributes={
            "FunctionUrl": lambda it: f"https://{it.short_id}.lambda-url.{it.at.region}.on.aws/",
            "FunctionArn": _FUNCTION,
        },
        ref=_FUNCTION,
        arn=_FUNCTION,
    ),
    "AWS::Lambda::Version": Identity(ref=_VERSION, attributes={"Version": lambda it: "1", "FunctionArn": _VERSION}),
    "AWS::Lambda::LayerVersion": Identity(
        "LayerName", ref=_LAYER, attributes={"LayerVersionArn": _LAYER}, arn=_LAYER, longest=140
    ),
    "AWS::Events::Rule": Identity("Name", attributes={"Arn": _RULE}, arn=_RULE, longest=64),
    "AWS::Events::EventBus": Identity("Name", attributes={"Arn": _BUS, "Name": lambda it: it.name}, arn=_BUS),
    "AWS::Scheduler::Schedule": Identity(
        "Name", attributes={"Arn": _arn("scheduler", "schedule/default/")}, longest=64
    ),
    "AWS::IAM::Role": Identity(
        "RoleName", attributes={"Arn": _ROLE, "RoleId": lambda it: it.short_id}, arn=_ROLE, longest=64
    ),
    "AWS::IAM::ManagedPolicy": Identity(
        "ManagedPolicyName", ref=_POLICY, attributes={"PolicyArn": _POLICY}, arn=_POLICY
    ),
    "AWS::SSM::Parameter": Identity(
        "Name",
        attributes={"Value": lambda it: it.value, "Type": lambda it: "String"},
        arn=lambda it: it.arn("ssm", "parameter" if it.name.startswith("/") else "parameter/"),
        longest=2048,
    ),
    "AWS::ApiGateway::RestApi": Identity(
        ref=lambda it: it.short_id,
        attributes={"RootResourceId": lambda it: f"{it.logical_id}.root", "RestApiId": lambda it: it.short_id},
    ),
    "AWS::ApiGateway::Resource": Identity(
        ref=lambda it: it.logical_id, attributes={"ResourceId": lambda it: it.logical_id}
    ),
    "AWS::ApiGateway::Stage": Identity("StageName"),
    "AWS::ApiGateway::ApiKey": Identity(
        "Name", ref=lambda it: it.short_id, attributes={"APIKeyId": lambda it: it.short_id}
    ),
    "AWS::ApiGateway::UsagePlan": Identity(
        "UsagePlanName", ref=lambda it: it.short_id, attributes={"Id": lambda it: it.short_id}
    ),
    "AWS::ApiGatewayV2::Api": Identity(
        ref=lambda it: it.short_id,
        attributes={
            "ApiId": lambda it: it.short_id,
            "ApiEndpoint": lambda it: f"https://{it.short_id}.execute-api.{it.at.region}.amazonaws.com",
        },
    ),
    "AWS::ApiGatewayV2::Integration": Identity(ref=lambda it: it.logical_id),
    "AWS::ApiGatewayV2::Route": Identity(ref=lambda it: it.logical_id),
    "AWS::ApiGatewayV2::Stage": Identity("StageName"),
    "AWS::Logs::LogGroup": Identity("LogGroupName", attributes={"Arn": _LOGS}, arn=_LOGS, longest=512),
    "AWS::Kinesis::Stream": Identity("Name", attributes={"Arn": _STREAM}, arn=_STREAM, longest=128),
    "AWS::StepFunctions::StateMachine": Identity(
        "StateMachineName", ref=_MACHINE, attributes={"Arn": _MACHINE, "Name": lambda it: it.name}, arn=_MACHINE
    ),
    "AWS::SecretsManager::Secret": Identity("Name", ref=_SECRET, attributes={"Id": _SECRET}, arn=_SECRET),
    "AWS::KMS::Key": Identity(
        ref=lambda it: it.short_id, attributes={"Arn": _KEY, "KeyId": lambda it: it.short_id}, arn=_KEY
    ),
    "AWS::KMS::Alias": Identity("AliasName"),
}
ANY = Identity()


def identity_of(kind: str) -> Identity:
    """How resources of a type are named; those that are not known here go by their name alone."""
    return IDENTITIES.get(kind, ANY)


def default_name(kind: str, logical_id: str, stack: str, *, fifo: bool) -> str:
    """The name of a resource whose template leaves it to CloudFormation."""
    identity = identity_of(kind)
    suffix = ".fifo" if fifo else ""
    name = f"{stack}-{logical_id}"
    if len(name) + len(suffix) > identity.longest:
        mark = blake2b(name.encode(), digest_size=4).hexdigest()
        name = f"{name[: identity.longest - len(suffix) - len(mark) - 1]}-{mark}"
    return (name.lower() if identity.lower else name) + suffix
