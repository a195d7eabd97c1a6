"""What is understood of a SAM template. Source: AWS SAM Developer Guide, "SAM resources and properties"."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.formats.cloudformation.event_sources import MAPPING_KEYS
from millrace.formats.cloudformation.lambdas import FUNCTION_KEYS
from millrace.formats.cloudformation.rules import SCHEDULE_KEYS, TARGET_KEYS
from millrace.formats.keys import Key, Keys

_NOTHING = Key("nothing to do")
_ONE_VERSION = Key("nothing to do", "there is one version of a function")

TEMPLATE_KEYS: Keys = {
    "AWSTemplateFormatVersion": _NOTHING,
    "Transform": Key("yes", "AWS::Serverless-2016-10-31 and AWS::LanguageExtensions; other macros run at AWS alone"),
    "Description": _NOTHING,
    "Metadata": _NOTHING,
    "Globals": Key("yes"),
    "Parameters": Key("yes"),
    "Mappings": Key("yes"),
    "Conditions": Key("yes"),
    "Rules": Key("no", "parameters are not compared with one another"),
    "Resources": Key("yes"),
    "Outputs": Key("nothing to do", "there is no stack to read them from"),
    "Hooks": _NOTHING,
}
GLOBALS_KEYS: Keys = {
    "Function": Key("yes"),
    "Api": Key("yes"),
    "HttpApi": Key("yes"),
    "SimpleTable": Key("yes"),
    "LayerVersion": Key("yes"),
    "StateMachine": Key("partly", "state machines are left to the local endpoint"),
    "CapacityProvider": _NOTHING,
}
SAM_FUNCTION_KEYS: Keys = {
    "FunctionName": Key("yes", "left out, it is <stack>-<LogicalId>"),
    "Handler": Key("yes"),
    "Runtime": Key("yes", "Python, of whatever version millrace itself runs on; other languages are left out"),
    "CodeUri": Key("yes", "a folder beside the template, first on the function's path"),
    "InlineCode": Key("no", "code inside the template is not run: put it into a file"),
    "ImageUri": Key("partly", "run from Metadata.DockerContext with ImageConfig.Command as handler"),
    "ImageConfig": Key("yes", "Command is the handler"),
    "PackageType": Key("yes"),
    "Description": Key("yes"),
    "Timeout": Key("yes", "3 seconds where it is left out"),
    "MemorySize": Key("yes", "128 MiB where it is left out; beyond it the function is killed"),
    "Environment": Key("yes"),
    "Events": Key("yes"),
    "Layers": Key("yes", "those of the same template; for others, install what is in them"),
    "DeadLetterQueue": Key("yes"),
    "EventInvokeConfig": Key("yes"),
    "FunctionUrlConfig": Key("yes", "nobody is asked who is calling"),
    "ReservedConcurrentExecutions": Key("yes", "1 or 0 as said; any other number is one process, see `replicas`"),
    "Policies": Key("yes", "policy templates, statements and AWS's own, as far as `millrace check` knows them"),
    "Role": Key("nothing to do", "functions may do everything here"),
    "FileSystemConfigs": Key("no", "no file system is mounted"),
    "TenancyConfig": Key("no", "there is one tenant"),
    "DurableConfig": Key("no", "durable functions are not run as such"),
    **dict.fromkeys(
        (
            "AutoPublishAlias",
            "AutoPublishAliasAllProperties",
            "AutoPublishCodeSha256",
            "DeploymentPreference",
            "ProvisionedConcurrencyConfig",
            "PublishToLatestPublished",
            "SnapStart",
            "VersionDeletionPolicy",
            "VersionDescription",
        ),
        _ONE_VERSION,
    ),
    "LoggingConfig": FUNCTION_KEYS["LoggingConfig"],
    **dict.fromkeys(
        (
            "Architectures",
            "AssumeRolePolicyDocument",
            "CapacityProviderConfig",
            "CodeSigningConfigArn",
            "EphemeralStorage",
            "FunctionScalingConfig",
            "KmsKeyArn",
            "PermissionsBoundary",
            "PropagateTags",
            "RecursiveLoop",
            "RolePath",
            "RuntimeManagementConfig",
            "SourceKMSKeyArn",
            "Tags",
            "Tracing",
            "VpcConfig",
        ),
        _NOTHING,
    ),
}
SAM_API_KEYS: Keys = {
    "Auth": Key("yes", "ApiKeyRequired; authorizers are not asked, which is told"),
    "Cors": Key("yes"),
    "DefinitionBody": Key("yes"),
    "DefinitionUri": Key("yes", "a file beside the template"),
    "StageName": Key("nothing to do", "paths begin without the stage"),
    "Models": Key("no", "bodies are not validated"),
    "GatewayResponses": Key("no", "the gateway's own refusals have its own form"),
    "Variables": Key("no", "there are no stage variables"),
    **dict.fromkeys(
        (
            "AccessLogSetting",
            "AlwaysDeploy",
            "ApiKeySourceType",
            "BinaryMediaTypes",
            "CacheClusterEnabled",
            "CacheClusterSize",
            "CanarySetting",
            "Description",
            "DisableExecuteApiEndpoint",
            "Domain",
            "EndpointAccessMode",
            "EndpointConfiguration",
            "FailOnWarnings",
            "MergeDefinitions",
            "MethodSettings",
            "MinimumCompressionSize",
            "Mode",
            "Name",
            "OpenApiVersion",
            "Policy",
            "PropagateTags",
            "SecurityPolicy",
            "Tags",
            "TracingEnabled",
        ),
        _NOTHING,
    ),
}
SAM_HTTP_API_KEYS: Keys = {
    "Auth": Key("no", "authorizers are not asked, every caller may call"),
    "CorsConfiguration": Key("yes"),
    "DefinitionBody": Key("yes"),
    "DefinitionUri": Key("yes", "a file beside the template"),
    "StageVariables": Key("no", "there are no stage variables"),
    **dict.fromkeys(
        (
            "AccessLogSettings",
            "DefaultRouteSettings",
            "Description",
            "DisableExecuteApiEndpoint",
            "Domain",
            "FailOnWarnings",
            "Name",
            "PropagateTags",
            "RouteSettings",
            "StageName",
            "Tags",
        ),
        _NOTHING,
    ),
}
SAM_TABLE_KEYS: Keys = {
    "PrimaryKey": Key("yes"),
    "TableName": Key("yes", "left out, it is <stack>-<LogicalId>"),
    "PointInTimeRecoverySpecification": _NOTHING,
    "ProvisionedThroughput": _NOTHING,
    "SSESpecification": _NOTHING,
    "Tags": _NOTHING,
}
SAM_LAYER_KEYS: Keys = {
    "ContentUri": Key("yes", "a folder: with Metadata.BuildMethod itself, without it its `python` folder"),
    **dict.fromkeys(
        (
            "CompatibleArchitectures",
            "CompatibleRuntimes",
            "Description",
            "LayerName",
            "LicenseInfo",
            "PublishLambdaVersion",
            "RetentionPolicy",
        ),
        _NOTHING,
    ),
}
SAM_RESOURCE_KEYS: Keys = {
    "AWS::Serverless::Function": Key("yes"),
    "AWS::Serverless::Api": Key("yes"),
    "AWS::Serverless::HttpApi": Key("yes"),
    "AWS::Serverless::SimpleTable": Key("yes"),
    "AWS::Serverless::LayerVersion": Key("yes"),
    "AWS::Serverless::StateMachine": Key("partly", "left to the local endpoint; its events call nothing"),
    "AWS::Serverless::Connector": Key("nothing to do", "functions may do everything here"),
    "AWS::Serverless::Application": Key("no", "nested applications are not read"),
    "AWS::Serverless::GraphQLApi": Key("no", "there is no GraphQL here"),
    "AWS::Serverless::CapacityProvider": _NOTHING,
}
SAM_PROPERTIES: Mapping[str, Keys] = {
    "AWS::Serverless::Function": SAM_FUNCTION_KEYS,
    "AWS::Serverless::Api": SAM_API_KEYS,
    "AWS::Serverless::HttpApi": SAM_HTTP_API_KEYS,
    "AWS::Serverless::SimpleTable": SAM_TABLE_KEYS,
    "AWS::Serverless::LayerVersion": SAM_LAYER_KEYS,
}

SAM_EVENT_KEYS: Keys = {
    "Api": Key("yes"),
    "HttpApi": Key("yes"),
    "SQS": Key("yes"),
    "SNS": Key("yes"),
    "S3": Key("yes"),
    "DynamoDB": Key("yes"),
    "Schedule": Key("yes"),
    "ScheduleV2": Key("yes", "rate and cron"),
    "EventBridgeRule": Key("yes"),
    "CloudWatchEvent": Key("yes"),
    "CloudWatchLogs": Key("no", "logs call no function"),
    "Kinesis": Key("no", "there are no Kinesis streams that call functions"),
    "MSK": Key("no", "there is no Kafka"),
    "SelfManagedKafka": Key("no", "there is no Kafka"),
    "MQ": Key("no", "there is no ActiveMQ or RabbitMQ"),
    "DocumentDB": Key("no", "there is no DocumentDB"),
    "Cognito": Key("no", "user pools call no function"),
    "IoTRule": Key("no", "devices call no function"),
    "AlexaSkill": Key("no", "Alexa calls no function here"),
}
_SOURCE = {key: value for key, value in MAPPING_KEYS.items() if key not in ("EventSourceArn", "FunctionName")}
_RULE = {
    "Enabled": Key("yes"),
    "State": Key("yes"),
    "RuleName": Key("yes"),
    **{key: TARGET_KEYS[key] for key in ("DeadLetterConfig", "Input", "RetryPolicy")},
}
_PATH = {
    "Path": Key("yes"),
    "Method": Key("yes"),
    "Auth": Key("yes", "ApiKeyRequired; authorizers are not asked, which is told"),
    "TimeoutInMillis": Key("nothing to do", "the function's own time limit counts"),
}
SAM_EVENT_PROPERTIES: dict[str, Keys] = {
    "Api": _PATH
    | {
        "RestApiId": Key("yes"),
        "Stage": _NOTHING,
        "RequestModel": Key("no", "bodies are not validated"),
        "RequestParameters": Key("nothing to do", "a missing parameter is the function's to refuse"),
        "ResponseTransferMode": _NOTHING,
    },
    "HttpApi": _PATH
    | {"ApiId": Key("yes"), "PayloadFormatVersion": Key("yes"), "RouteSettings": _NOTHING, "Stage": _NOTHING},
    "SQS": {"Queue": Key("yes")} | _SOURCE,
    "DynamoDB": {"Stream": Key("yes")} | _SOURCE,
    "SNS": {
        "Topic": Key("yes"),
        "FilterPolicy": Key("yes"),
        "FilterPolicyScope": Key("yes"),
        "SqsSubscription": Key("yes"),
        "Region": _NOTHING,
        "RedrivePolicy": _NOTHING,
    },
    "S3": {"Bucket": Key("yes"), "Events": Key("yes"), "Filter": Key("yes")},
    "Schedule": {"Schedule": Key("yes"), "Name": Key("yes"), "Description": _NOTHING} | _RULE,
    "EventBridgeRule": {
        "EventBusName": Key("yes"),
        "Pattern": Key("yes"),
        "InputPath": Key("yes"),
        "InputTransformer": TARGET_KEYS["InputTransformer"],
        "Target": _NOTHING,
    }
    | _RULE,
    "ScheduleV2": {key: value for key, value in SCHEDULE_KEYS.items() if key != "Target"}
    | {
        "Input": Key("yes"),
        "OmitName": _NOTHING,
        "PermissionsBoundary": _NOTHING,
        "RoleArn": _NOTHING,
        "DeadLetterConfig": TARGET_KEYS["DeadLetterConfig"],
        "RetryPolicy": TARGET_KEYS["RetryPolicy"],
    },
}
SAM_EVENT_PROPERTIES |= {"CloudWatchEvent": SAM_EVENT_PROPERTIES["EventBridgeRule"]}
