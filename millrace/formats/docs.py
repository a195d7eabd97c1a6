"""The compatibility page: every key, event and API action of other tools and of AWS, made from what reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, get_args

from millrace.aws.endpoint.functions import LAMBDA_ACTIONS
from millrace.aws.moto.reach import MOTO_SERVICES
from millrace.aws.sqs.actions import SQS_ACTIONS
from millrace.formats.cloudformation.api_keys import API_KEY_KEYS as CLOUDFORMATION_API_KEY_KEYS
from millrace.formats.cloudformation.api_keys import USAGE_PLAN_KEYS
from millrace.formats.cloudformation.buckets import BUCKET_KEYS, NOTIFICATION_EVENT_KEYS, NOTIFICATION_KEYS
from millrace.formats.cloudformation.contribute import RESOURCE_KEYS
from millrace.formats.cloudformation.event_sources import MAPPING_KEYS
from millrace.formats.cloudformation.functions import FUNCTION_KEYS as INTRINSIC_KEYS
from millrace.formats.cloudformation.gateways import HTTP_API_KEYS, REST_API_KEYS
from millrace.formats.cloudformation.invoke_configs import INVOKE_CONFIG_KEYS
from millrace.formats.cloudformation.lambdas import FUNCTION_KEYS as LAMBDA_FUNCTION_KEYS
from millrace.formats.cloudformation.lambdas import LOGGING_KEYS
from millrace.formats.cloudformation.parameters import PARAMETER_KEYS
from millrace.formats.cloudformation.queues import QUEUE_KEYS
from millrace.formats.cloudformation.rules import RULE_KEYS, SCHEDULE_KEYS, TARGET_KEYS
from millrace.formats.cloudformation.tables import TABLE_KEYS
from millrace.formats.cloudformation.topics import SUBSCRIPTION_KEYS, TOPIC_KEYS
from millrace.formats.keys import Key, Keys, Support
from millrace.formats.sam.config import SAMCONFIG_KEYS
from millrace.formats.sam.keys import (
    GLOBALS_KEYS,
    SAM_EVENT_KEYS,
    SAM_EVENT_PROPERTIES,
    SAM_PROPERTIES,
    SAM_RESOURCE_KEYS,
    TEMPLATE_KEYS,
)
from millrace.formats.serverless.environments import LOGS_KEYS
from millrace.formats.serverless.events.cors import CORS_KEYS, HTTP_API_CORS_KEYS
from millrace.formats.serverless.events.event_bridge import CLOUDWATCH_EVENT_KEYS, EVENT_BRIDGE_KEYS
from millrace.formats.serverless.events.http import HTTP_KEYS
from millrace.formats.serverless.events.http_api import HTTP_API_KEYS as HTTP_API_EVENT_KEYS
from millrace.formats.serverless.events.kinds import EVENT_KEYS
from millrace.formats.serverless.events.s3 import S3_KEYS
from millrace.formats.serverless.events.schedule import SCHEDULE_KEYS as SCHEDULE_EVENT_KEYS
from millrace.formats.serverless.events.sns import SNS_KEYS
from millrace.formats.serverless.events.sqs import SQS_KEYS
from millrace.formats.serverless.events.stream import STREAM_KEYS
from millrace.formats.serverless.functions import DESTINATION_KEYS, FUNCTION_KEYS
from millrace.formats.serverless.lift import CONSTRUCT_KEYS, LIFT_KEYS, STORAGE_KEYS
from millrace.formats.serverless.lift import QUEUE_KEYS as LIFT_QUEUE_KEYS
from millrace.formats.serverless.lift import TABLE_KEYS as LIFT_TABLE_KEYS
from millrace.formats.serverless.plugins import CUSTOM_KEYS, PLUGIN_KEYS, WSGI_KEYS
from millrace.formats.serverless.provider import API_GATEWAY_KEYS, API_KEY_KEYS, PROVIDER_KEYS
from millrace.formats.serverless.provider import HTTP_API_KEYS as PROVIDER_HTTP_API_KEYS
from millrace.formats.serverless.resources import RESOURCES_KEYS
from millrace.formats.serverless.service import SERVICE_KEYS, SERVICE_NAME_KEYS
from millrace.formats.serverless.variables.sources import VARIABLE_KEYS
from millrace.formats.zappa.keys import ZAPPA_CORS_KEYS, ZAPPA_EVENT_KEYS, ZAPPA_KEYS, ZAPPA_SOURCE_KEYS

_OPENING = """\
# Compatibility

<!-- Made by `make reference` from the code that reads each key: change it there. -->

What millrace makes of the project files of other tools, and of AWS's APIs. In **here**,

- **yes** means that it does here what it does there,
- **partly** that it does some of it, and the note says what,
- **no** that it has no effect, and the note says why, or what to do instead,
- **nothing to do** that it concerns the deployment alone, so that leaving it aside changes nothing.

`millrace check` tells each key of a file that is not on this page or is *no*, and what is missing of one that is
*partly*, as a warning with file:line:column. `--strict` makes errors of warnings. Properties of resources that only the
endpoint makes are not looked at: moto does with them what it does.
"""
_FILES = "Serverless Framework", "AWS SAM", "CloudFormation", "Zappa", "APIs of the local AWS endpoint"
_REACH: Mapping[str, Support] = {"durable": "yes", "delivers": "yes", "memory": "partly"}
_PLACES = {"durable": "Kept. ", "delivers": "Delivers. ", "memory": "In memory. "}


class Part(NamedTuple):
    """One table of the page: the file or API that it belongs to, its heading, and its rows."""

    file: str
    title: str
    keys: Keys


def parts() -> list[Part]:
    """Every table, in the order of the page."""
    return [
        *(Part(_FILES[0], title, keys) for title, keys in _serverless()),
        *(Part(_FILES[1], title, keys) for title, keys in _sam()),
        *(Part(_FILES[2], title, keys) for title, keys in _cloudformation()),
        *(Part(_FILES[3], title, keys) for title, keys in _zappa()),
        *(Part(_FILES[4], title, keys) for title, keys in _endpoint()),
    ]


def compatibility_page() -> str:
    """The page as Markdown: counts on top, then a table for each part."""
    every = parts()
    text = [_OPENING, _counts(every)]
    for file in _FILES:
        text.append(f"## {file}\n")
        text += [f"### {part.title}\n\n{_table(part.keys)}" for part in every if part.file == file]
    return "\n".join(text)


def _serverless() -> Iterator[tuple[str, Keys]]:
    yield "serverless.yml", SERVICE_KEYS
    yield "service", SERVICE_NAME_KEYS
    yield "provider", PROVIDER_KEYS
    yield "provider.apiGateway", API_GATEWAY_KEYS
    yield "provider.apiGateway.apiKeys", API_KEY_KEYS
    yield "provider.httpApi", PROVIDER_HTTP_API_KEYS
    yield "provider.httpApi.cors", HTTP_API_CORS_KEYS
    yield "functions.NAME", FUNCTION_KEYS
    yield "functions.NAME.destinations", DESTINATION_KEYS
    yield "functions.NAME.logs, provider.logs.lambda", LOGS_KEYS
    yield "functions.NAME.events", EVENT_KEYS
    yield "event http", HTTP_KEYS
    yield "event http: cors", CORS_KEYS
    yield "event httpApi", HTTP_API_EVENT_KEYS
    yield "event sqs", SQS_KEYS
    yield "event schedule", SCHEDULE_EVENT_KEYS
    yield "event s3", S3_KEYS
    yield "event sns", SNS_KEYS
    yield "event stream", STREAM_KEYS
    yield "event eventBridge", EVENT_BRIDGE_KEYS
    yield "event cloudwatchEvent", CLOUDWATCH_EVENT_KEYS
    yield "resources", RESOURCES_KEYS
    yield "Variables: ${NAME:...}", VARIABLE_KEYS
    yield "plugins", PLUGIN_KEYS
    yield "constructs: type", CONSTRUCT_KEYS
    yield "construct queue", LIFT_QUEUE_KEYS
    yield "construct storage", STORAGE_KEYS
    yield "construct database/dynamodb-single-table", LIFT_TABLE_KEYS
    yield "lift", LIFT_KEYS
    yield "custom", CUSTOM_KEYS
    yield "custom.wsgi", WSGI_KEYS


def _sam() -> Iterator[tuple[str, Keys]]:
    yield "The template", TEMPLATE_KEYS
    yield "Globals", GLOBALS_KEYS
    yield "samconfig.toml beside it, of `sam deploy`", SAMCONFIG_KEYS
    yield "Resources", SAM_RESOURCE_KEYS
    yield from SAM_PROPERTIES.items()
    yield "Events of a function", SAM_EVENT_KEYS
    yield from ((f"Event {kind}", keys) for kind, keys in SAM_EVENT_PROPERTIES.items())


def _cloudformation() -> Iterator[tuple[str, Keys]]:
    yield "Parameters", PARAMETER_KEYS
    yield "Intrinsic functions", INTRINSIC_KEYS
    yield "Types of resources", RESOURCE_KEYS
    yield "AWS::Lambda::Function", LAMBDA_FUNCTION_KEYS
    yield "AWS::Lambda::Function: LoggingConfig", LOGGING_KEYS
    yield "AWS::Lambda::EventInvokeConfig", INVOKE_CONFIG_KEYS
    yield "AWS::Lambda::EventSourceMapping", MAPPING_KEYS
    yield "AWS::SQS::Queue", QUEUE_KEYS
    yield "AWS::DynamoDB::Table", TABLE_KEYS
    yield "AWS::S3::Bucket", BUCKET_KEYS
    yield "AWS::S3::Bucket: NotificationConfiguration", NOTIFICATION_KEYS
    yield "AWS::S3::Bucket: events of a notification", NOTIFICATION_EVENT_KEYS
    yield "AWS::SNS::Topic", TOPIC_KEYS
    yield "AWS::SNS::Subscription", SUBSCRIPTION_KEYS
    yield "AWS::Events::Rule", RULE_KEYS
    yield "AWS::Events::Rule: Targets", TARGET_KEYS
    yield "AWS::Scheduler::Schedule", SCHEDULE_KEYS
    yield "AWS::ApiGateway::RestApi", REST_API_KEYS
    yield "AWS::ApiGatewayV2::Api", HTTP_API_KEYS
    yield "AWS::ApiGateway::ApiKey", CLOUDFORMATION_API_KEY_KEYS
    yield "AWS::ApiGateway::UsagePlan", USAGE_PLAN_KEYS


def _zappa() -> Iterator[tuple[str, Keys]]:
    yield "zappa_settings", ZAPPA_KEYS
    yield "cors", ZAPPA_CORS_KEYS
    yield "events", ZAPPA_EVENT_KEYS
    yield "events: event_source", ZAPPA_SOURCE_KEYS


def _endpoint() -> Iterator[tuple[str, Keys]]:
    yield "SQS", {name: Key(action.support, action.note) for name, action in SQS_ACTIONS.items()}
    offered = {name: Key(action.support, action.note) for name, action in LAMBDA_ACTIONS.items()}
    yield "Lambda", offered | {"every other action": Key("no", "the project file makes functions, the API calls them")}
    through_moto = {each.service: Key(_REACH[each.how], _PLACES[each.how] + each.note) for each in MOTO_SERVICES}
    others = Key("partly", "In memory. As moto answers them")
    yield "Services that moto answers (extra `aws`)", through_moto | {"every other service": others}


def _counts(every: Sequence[Part]) -> str:
    supports = get_args(Support)
    rows = ["| | " + " | ".join(supports) + " | rows |", "|---" + "|---:" * (len(supports) + 1) + "|"]
    for file in _FILES:
        found = Counter(key.support for part in every if part.file == file for key in part.keys.values())
        numbers = " | ".join(str(found[support]) for support in supports)
        rows.append(f"| [{file}](#{file.lower().replace(' ', '-')}) | {numbers} | {found.total()} |")
    return "\n".join(rows) + "\n"


def _table(keys: Keys) -> str:
    rows = [f"| `{name}` | {key.support} | {_cell(key.note)} |" for name, key in sorted(keys.items(), key=_order)]
    return "\n".join(["| key | here | |", "|---|---|---|", *rows]) + "\n"


def _order(item: tuple[str, Key]) -> tuple[bool, str]:
    """By name, what is said of everything else last."""
    return " " in item[0], item[0].lower()


def _cell(note: str) -> str:
    return note.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
