"""`provider`: what all functions share, where the service is deployed, its gateways and their keys."""

from __future__ import annotations

from itertools import count

from millrace.config.tree import Node
from millrace.formats.cloudformation.values import below, entries, items, text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import put
from millrace.formats.serverless.environments import LOGS_KEYS, variables
from millrace.formats.serverless.events.cors import HTTP_API_CORS_KEYS, read_cors
from millrace.formats.serverless.reading import Reading

_DEPLOYMENT = Key("nothing to do")
_API_KEYS = ("gateway", "api_keys")
PROVIDER_KEYS: Keys = {
    "name": Key("yes", "aws"),
    "runtime": Key("partly", "functions in Python run, in the Python that runs millrace"),
    "region": Key("yes"),
    "stage": Key("yes"),
    "environment": Key("yes"),
    "memorySize": Key("yes"),
    "timeout": Key("yes"),
    "iam": Key("yes", "statements are compared with what functions do, never enforced"),
    "iamRoleStatements": Key("yes", "as iam.role.statements"),
    "iamManagedPolicies": Key("nothing to do"),
    "role": Key("nothing to do"),
    "stackName": Key("yes"),
    "apiGateway": Key("partly", "API keys"),
    "apiKeys": Key("yes"),
    "usagePlan": Key("no", "nothing is throttled or counted"),
    "httpApi": Key("partly", "cors and payload"),
    "s3": Key("yes"),
    "layers": Key("yes", "those of the same file; for others, install what is in them"),
    "vpc": Key("nothing to do"),
    "resourcePolicy": Key("no", "all may call on loopback"),
    "ecr": Key("no", "container images do not run here"),
    "eventBridge": Key("nothing to do"),
    "websocketsApiName": Key("no", "the gateway speaks HTTP alone"),
    "websocketsApiRouteSelectionExpression": Key("no", "the gateway speaks HTTP alone"),
    "alb": Key("no", "use httpApi events"),
    "cloudFront": Key("no", "there is no edge here"),
    "variableSyntax": Key("no", "variables are written ${...}"),
    "logs": Key("yes", "lambda.applicationLogLevel"),
    "credentials": _DEPLOYMENT,
    **dict.fromkeys(
        (
            *("profile", "tags", "stackTags", "stackPolicy", "stackParameters", "deploymentBucket", "cfnRole"),
            *(
                "deploymentPrefix",
                "deploymentMethod",
                "notificationArns",
                "rollbackConfiguration",
                "tracing",
                "runtimes",
            ),
            *("logRetentionInDays", "logDataProtectionPolicy", "kmsKeyArn", "architecture", "versionFunctions"),
            *(
                "lambdaHashingVersion",
                "endpointType",
                "apiName",
                "vpcEndpointIds",
                "disableRollback",
                "runtimeManagement",
            ),
            *("rolePermissionsBoundary", "disableDefaultOutputExportNames", "snapStart", "lambda", "build", "domain"),
        ),
        _DEPLOYMENT,
    ),
}
API_GATEWAY_KEYS: Keys = {
    "apiKeys": Key("yes", "a key without a value gets it at the first start, in .millrace/api_keys.json"),
    "usagePlan": Key("no", "nothing is throttled or counted"),
    "apiKeySourceType": Key("partly", "HEADER"),
    "resourcePolicy": Key("no", "all may call on loopback"),
    "request": Key("no", "requests are not checked"),
    "binaryMediaTypes": Key("yes", "bodies that are no text come in base64"),
    "minimumCompressionSize": Key("no", "answers are not compressed"),
    **dict.fromkeys(
        (
            *("restApiId", "restApiRootResourceId", "restApiResources", "websocketApiId", "description", "metrics"),
            *("shouldStartNameWithService", "disableDefaultEndpoint", "timeoutInMillis", "stage"),
        ),
        _DEPLOYMENT,
    ),
}
HTTP_API_KEYS: Keys = {
    "cors": Key("yes"),
    "payload": Key("yes"),
    "authorizers": Key("no", "nobody is asked who he is; on loopback all may call"),
    **dict.fromkeys(("id", "name", "metrics", "useProviderTags", "disableDefaultEndpoint", "timeout"), _DEPLOYMENT),
}
API_KEY_KEYS: Keys = {
    "name": Key("yes"),
    "value": Key("yes"),
    "description": Key("nothing to do"),
    "customerId": Key("nothing to do"),
    "enabled": Key("yes"),
    "usagePlan": Key("nothing to do"),
}


def read_provider(provider: Node, reading: Reading) -> None:
    """The provider's part of the tree: environment, API keys; and what events will ask of it."""
    ledger = reading.ledger
    ledger.examine(provider, {**PROVIDER_KEYS, "runtime": Key("yes"), **_nested(provider)}, "provider")
    ledger.examine(
        below(provider, "apiGateway"), {**API_GATEWAY_KEYS, **_header_source(provider)}, "provider.apiGateway"
    )
    ledger.examine(below(provider, "httpApi"), HTTP_API_KEYS, "provider.httpApi")
    ledger.examine(below(provider, "logs", "lambda"), LOGS_KEYS, "provider.logs.lambda")
    environment = below(provider, "environment")
    if environment is not None and (found := variables(environment, reading)):
        put(reading.tree, ("environment",), found, environment)
    _read_http_api(below(provider, "httpApi"), reading)
    for node in (below(provider, "apiGateway", "apiKeys"), below(provider, "apiKeys")):
        for each in items(node):
            _read_api_key(each, reading)


def bucket_names(provider: Node | None) -> dict[str, str]:
    """The names of the buckets that provider.s3 configures, by their keys."""
    return {key: text_of(below(bucket, "name")) or key for key, bucket in entries(below(provider, "s3"))}


def _nested(provider: Node) -> Keys:
    """Sections whose own keys are told one by one, so that they themselves are not doubted."""
    return {
        name: Key("yes")
        for name in ("apiGateway", "httpApi")
        if isinstance(getattr(below(provider, name), "value", None), dict)
    }


def _header_source(provider: Node) -> Keys:
    source = text_of(below(provider, "apiGateway", "apiKeySourceType"))
    return {"apiKeySourceType": Key("yes")} if source.upper() == "HEADER" else {}


def _read_http_api(node: Node | None, reading: Reading) -> None:
    """The payload's version, which was 1.0 before version 3 of the framework, and the cross-origin settings."""
    payload = below(node, "payload")
    version = text_of(payload) or ("2.0" if reading.major >= 3 else "1.0")
    if version not in ("1.0", "2.0", "1", "2") and payload is not None:
        reading.ledger.refuse(payload, "provider.httpApi.payload", "'1.0' or '2.0'", payload.shown)
    reading.http_payload = "v1" if version.startswith("1") else "v2"
    reading.http_cors = read_cors(below(node, "cors"), HTTP_API_CORS_KEYS, "provider.httpApi", reading.ledger)


def _read_api_key(node: Node, reading: Reading) -> None:
    """A name, {name, value}, or {plan: [keys]}."""
    node = reading.resolve(node)
    if isinstance(node.value, dict) and not {"name", "value"} & set(node.value):
        for _, keys in entries(node):
            for each in items(keys):
                _read_api_key(each, reading)
        return
    reading.ledger.examine(node, API_KEY_KEYS, "provider.apiGateway.apiKeys")
    named = below(node, "name") if isinstance(node.value, dict) else node
    value = below(node, "value") if isinstance(node.value, dict) else None
    # A name out of the environment is a secret that people hide there: it must not become a key of the tree.
    name = text_of(named) if named is not None and named.written is None else ""
    like = value or node
    key = Node(text_of(value) or None, like.place, like.key_place, value.written if value else None)
    put(reading.tree, (*_API_KEYS, name or _nameless(node, reading)), key, node)


def _nameless(node: Node, reading: Reading) -> str:
    """A name for a key that has none: its line's, with a number from the second on that stands there."""
    taken = dict(entries(below(reading.tree, *_API_KEYS)))
    name = f"key-{node.place.line}"
    more = (f"{name}-{number}" for number in count(2))
    return name if name not in taken else next(each for each in more if each not in taken)
