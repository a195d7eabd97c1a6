"""The project's resources, made in moto before it answers anything: it forgets them whenever the process ends.

Buckets, tables, topics with their subscriptions, and rules for `bus:` events come from the project's own words;
everything else of `aws.resources` is made as CloudFormation would, as far as moto can.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from importlib import import_module
from secrets import token_urlsafe
from typing import Any

import msgspec

from millrace.aws.receivers import Receivers
from millrace.config.events import BusEvent, TopicEvent
from millrace.config.schema import Project

_OURS = ("AWS::SQS::", "AWS::Lambda::", "AWS::Serverless::", "AWS::ApiGateway")
_TOPICS = ("AWS::SNS::Topic", "AWS::SNS::Subscription", "AWS::SNS::TopicPolicy")
_PASSED = ("AWS::CloudFormation::", "AWS::CDK::")
_ROLE = "millrace"
_RULE_CHARS = 56  # of a rule's 64 for its function's name
_EMPTY_ZIP = b64encode(b"PK\x05\x06" + bytes(18)).decode()


class Resources:
    """Makes what a project declares, each once; what cannot be made becomes a warning, never an error."""

    def __init__(self, project: Project, receivers: Receivers, buckets: list[str]) -> None:
        if project.aws is None:
            raise ValueError("a project without aws: has no resources")
        self._project = project
        self._receivers = receivers
        self._buckets = buckets
        self._account = project.aws.account
        self._region = project.aws.region
        self._declared: dict[str, Any] = project.aws.resources
        self.warnings: list[str] = []

    def create(self) -> list[str]:
        """Make everything; in moto's thread. Returns the warnings."""
        for logical, resource in self._ordered():
            self._try(f"aws.resources.{logical}", self._declare, logical, resource)
        for name in self._buckets:
            self._try(f"buckets.{name}", self._bucket, name)
        for name in self._project.tables:
            self._try(f"tables.{name}", self._table, name)
        self._try("functions", self._role)
        for name in self._project.functions:
            self._try(f"functions.{name}", self._function, name)
        for name in self._topics():
            self._try(f"topics.{name}", self._topic, name)
        for number, (name, index, event) in enumerate(self._events(BusEvent)):
            self._try(f"functions.{name}.events[{index}]", self._rule, number, name, event)
        return self.warnings

    def _try(self, where: str, make: Any, *args: Any) -> None:
        try:
            make(*args)
        except Exception as error:  # moto raises whatever it likes at a template
            text = getattr(error, "message", None) or str(error) or type(error).__name__
            self.warnings.append(f"{where}: not made here: {text}".replace("\n", " "))

    def _ordered(self) -> list[tuple[str, dict[str, Any]]]:
        """Roles, buses and groups before what refers to them by name."""
        found = [(name, value) for name, value in self._declared.items() if isinstance(value, dict) and "Type" in value]
        first = ("AWS::IAM::Role", "AWS::Events::EventBus", "AWS::Logs::LogGroup", "AWS::KMS::Key")
        return sorted(found, key=lambda item: item[1]["Type"] not in first)

    def _declare(self, logical: str, resource: dict[str, Any]) -> None:
        kind, properties = resource["Type"], json.loads(json.dumps(resource.get("Properties") or {}))
        if kind.startswith(_OURS + _PASSED) or kind in _TOPICS:
            return
        if kind == "AWS::SecretsManager::Secret":
            self._secret(logical, properties)
            return
        model = _model(kind)
        if model is None:
            self.warnings.append(f"aws.resources.{logical}: {kind} is not made here")
            return
        if kind == "AWS::Events::Rule":
            if "ScheduleExpression" in properties:
                self.warnings.append(f"aws.resources.{logical}: a rule with a schedule does not come due here")
            properties["Targets"] = [one for one in properties.get("Targets", []) if not self._is_event(one)]
            if not properties["Targets"]:
                return  # a schedule, or a `bus:` event of the project
        name = properties.get(model.cloudformation_name_type() or "")
        made = model.create_from_cloudformation_json(
            name or f"{self._project.service}-{logical}",
            {"Type": kind, "Properties": properties},
            self._account,
            self._region,
            LogicalId=logical,
            StackId=self._project.service,
            ResourceType=kind,
        )
        if kind == "AWS::S3::Bucket":
            _complete_bucket(made, properties)

    def _secret(self, logical: str, properties: dict[str, Any]) -> None:
        """moto's CloudFormation has no secrets; a generated one is new at each start."""
        from moto.secretsmanager.models import secretsmanager_backends

        backend = secretsmanager_backends[self._account][self._region]
        text = properties.get("SecretString")
        if text is None:
            wanted = properties.get("GenerateSecretString", {})
            text = token_urlsafe(wanted.get("PasswordLength", 32))[: wanted.get("PasswordLength", 32)]
            if wanted.get("GenerateStringKey"):
                template = json.loads(wanted.get("SecretStringTemplate", "{}"))
                text = json.dumps(template | {wanted["GenerateStringKey"]: text})
        name = properties.get("Name") or f"{self._project.service}-{logical}"
        backend.create_secret(name, text, None, properties.get("Description"), None, None, None, [], False)

    def _is_event(self, target: dict[str, Any]) -> bool:
        arn = str(target.get("Arn", ""))
        return ":lambda:" in arn and self._receivers.find(arn) is not None

    def _bucket(self, name: str) -> None:
        from moto.s3.models import s3_backends

        backend = s3_backends[self._account]["aws"]
        if name not in backend.buckets:
            backend.create_bucket(name, self._region)

    def _table(self, name: str) -> None:
        from moto.dynamodb.models import dynamodb_backends

        backend = dynamodb_backends[self._account][self._region]
        if name in backend.tables:
            return
        table = self._project.tables[name]
        keys = [(table.key, "HASH")] + ([(table.sort, "RANGE")] if table.sort else [])
        backend.create_table(
            name,
            schema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
            attr=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
            throughput=None,
            billing_mode="PAY_PER_REQUEST",
            indexes=[],
            global_indexes=[],
            streams=None,
            sse_specification=None,
            tags=[],
            deletion_protection_enabled=False,
            warm_throughput=None,
        )

    def _role(self) -> None:
        """The role that moto wants every function to have."""
        from moto.iam.models import iam_backends

        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam_backends[self._account]["aws"].create_role(_ROLE, policy, "/", None, "", [], None)

    def _function(self, name: str) -> None:
        """A function that can be listed and named; it is never run by moto."""
        from moto.awslambda.models import lambda_backends

        config = self._project.functions[name]
        spec = {
            "FunctionName": self._receivers.arn(name).rpartition(":")[2],
            "Handler": config.target,
            "Role": f"arn:aws:iam::{self._account}:role/{_ROLE}",
            "Runtime": "python3.11",
            "Code": {"ZipFile": _EMPTY_ZIP},
            "Timeout": max(1, int(config.timeout)),
            "Description": config.description,
        }
        lambda_backends[self._account][self._region].create_function(spec)

    def _topics(self) -> list[str]:
        """Those declared, and those that functions listen to."""
        named = [event.topic for _, _, event in self._events(TopicEvent)]
        return list(dict.fromkeys([*self._project.topics, *named]))

    def _topic(self, name: str) -> None:
        from moto.sns.models import sns_backends

        backend = sns_backends[self._account][self._region]
        config = self._project.topics.get(name)
        fifo = config.fifo if config else name.endswith(".fifo")
        topic = backend.create_topic(name, {"FifoTopic": "true"} if fifo else None)
        for queue in config.queues if config else []:
            endpoint = f"arn:aws:sqs:{self._region}:{self._account}:{queue.queue}"
            self._subscribe(backend, topic.arn, endpoint, "sqs", queue.filter, queue.scope, raw=queue.raw)
        for function, _, event in self._events(TopicEvent):
            if event.topic == name:
                self._subscribe(
                    backend, topic.arn, self._receivers.arn(function), "lambda", event.filter, event.scope, raw=False
                )

    def _subscribe(
        self, backend: Any, topic: str, endpoint: str, protocol: str, policy: dict[str, Any], scope: str, *, raw: bool
    ) -> None:
        made = backend.subscribe(topic, endpoint, protocol)
        attributes = {"RawMessageDelivery": "true" if raw else "false", "FilterPolicyScope": scope}  # before the policy
        if policy:
            attributes["FilterPolicy"] = msgspec.json.encode(policy).decode()
        for name, value in attributes.items():
            backend.set_subscription_attributes(made.arn, name, value)

    def _rule(self, number: int, function: str, event: BusEvent) -> None:
        from moto.events.models import events_backends

        backend = events_backends[self._account][self._region]
        if event.bus not in backend.event_buses:
            backend.create_event_bus(event.bus)
        rule = f"{function[:_RULE_CHARS]}-{number}"
        backend.put_rule(rule, event_pattern=msgspec.json.encode(event.pattern).decode(), event_bus_arn=event.bus)
        target: dict[str, Any] = {"Id": "function", "Arn": self._receivers.arn(function)}
        if event.input is not None:
            target["Input"] = msgspec.json.encode(event.input).decode()
        elif event.input_path:
            target["InputPath"] = event.input_path
        backend.put_targets(rule, event.bus, [target])

    def _events(self, kind: Any) -> Iterator[tuple[str, int, Any]]:
        for name, function in self._project.functions.items():
            for index, event in enumerate(function.events):
                if isinstance(event, kind):
                    yield name, index, event


def _model(kind: str) -> Any:
    """moto's class for a CloudFormation type, None where it has none.

    Only the type's own service is imported: moto's list of all types costs seconds.
    """
    from moto.backends import list_of_moto_modules
    from moto.core.common_models import CloudFormationModel

    service = kind.split("::")[1].lower() if kind.startswith("AWS::") else ""
    if service not in set(list_of_moto_modules()):
        return None
    import_module(f"moto.{service}.models")
    return next((each for each in CloudFormationModel.__subclasses__() if each.cloudformation_type() == kind), None)


def _complete_bucket(bucket: Any, properties: dict[str, Any]) -> None:
    """What moto's CloudFormation leaves out of a bucket; functions that it calls have `bucket:` events instead."""
    if properties.get("VersioningConfiguration", {}).get("Status") == "Enabled":
        bucket.versioning_status = "Enabled"
    told = properties.get("NotificationConfiguration", {})
    wanted = {
        f"{kind}Configuration": [_notification(kind, each) for each in told.get(f"{kind}Configurations", [])]
        for kind in ("Queue", "Topic")
    }
    if any(wanted.values()):
        bucket.set_notification_configuration(wanted)


def _notification(kind: str, written: dict[str, Any]) -> dict[str, Any]:
    """A notification of a template in the words of S3's API."""
    made: dict[str, Any] = {kind: written[kind], "Event": [written["Event"]]}
    rules = written.get("Filter", {}).get("S3Key", {}).get("Rules")
    if rules:
        made["Filter"] = {"S3Key": {"FilterRule": [{**rule, "Name": rule["Name"].lower()} for rule in rules]}}
    return made
