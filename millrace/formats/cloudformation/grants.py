"""What the role of each function lets it do: statements of IAM policies, resolved, with their places."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.config.tree import Node
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.stack import Stack
from millrace.formats.cloudformation.values import below, items, text_of
from millrace.formats.nodes import node

# What AWS's own policies allow, as far as functions commonly carry them; any other is taken to allow everything, since
# to say that something is missing would then be a guess. Source: AWS Managed Policy Reference Guide.
_LOGS = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
_MANAGED = {
    "AWSLambdaBasicExecutionRole": _LOGS,
    "AWSLambdaVPCAccessExecutionRole": [*_LOGS, "ec2:*NetworkInterface*"],
    "AWSLambdaSQSQueueExecutionRole": [
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        *_LOGS,
    ],
    "AWSLambdaDynamoDBExecutionRole": [
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
        *_LOGS,
    ],
    "AWSXRayDaemonWriteAccess": ["xray:*"],
    "AWSXrayWriteOnlyAccess": ["xray:*"],
    "AmazonSQSFullAccess": ["sqs:*"],
    "AmazonSNSFullAccess": ["sns:*"],
    "AmazonS3FullAccess": ["s3:*"],
    "AmazonS3ReadOnlyAccess": ["s3:Get*", "s3:List*"],
    "AmazonDynamoDBFullAccess": ["dynamodb:*"],
    "AmazonDynamoDBReadOnlyAccess": ["dynamodb:Get*", "dynamodb:Query", "dynamodb:Scan", "dynamodb:BatchGetItem"],
    "AmazonSSMReadOnlyAccess": ["ssm:Get*", "ssm:Describe*", "ssm:List*"],
}


def grants(stack: Stack) -> dict[str, list[Node]]:
    """The statements that hold for each AWS::Lambda::Function, by logical id; none for a role from elsewhere."""
    found = {}
    for function in stack.of("AWS::Lambda::Function"):
        role = _role(stack, function)
        if role is not None:
            found[function.logical_id] = list(_statements(stack, role))
    return found


def _role(stack: Stack, function: Resource) -> Resource | None:
    said = text_of(function.get("Role"))
    return stack.find("AWS::IAM::Role", said.rpartition("/")[2]) if said else None


def _statements(stack: Stack, role: Resource) -> Iterator[Node]:
    for policy in items(role.get("Policies")):
        yield from items(below(policy, "PolicyDocument", "Statement"))
    for managed in items(role.get("ManagedPolicyArns")):
        yield from _managed(stack, managed)
    name = stack.name_of(role.logical_id)
    for each in stack.of("AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy"):
        roles = [text_of(one).rpartition("/")[2] for one in [*items(each.get("Roles")), *items(each.get("RoleName"))]]
        if name in roles:
            yield from items(each.get("PolicyDocument", "Statement"))


def _managed(stack: Stack, arn: Node) -> Iterator[Node]:
    name = text_of(arn).rpartition("/")[2]
    own = stack.find("AWS::IAM::ManagedPolicy", name)
    if own is not None:
        yield from items(own.get("PolicyDocument", "Statement"))
    else:
        yield node({"Effect": "Allow", "Action": _MANAGED.get(name, ["*"]), "Resource": "*"}, arn)
