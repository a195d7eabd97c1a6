"""`plugins` and their settings under `custom`: done here, needless here, or said to be missing."""

from __future__ import annotations

from millrace.config.faults import nearest
from millrace.config.tree import Node
from millrace.formats.cloudformation.values import below, entries, items, text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.serverless.ledger import Ledger

PSEUDO_PARAMETERS = "serverless-pseudo-parameters"
_LOCAL = Key("nothing to do", "millrace itself runs the service here")
_DEPLOYMENT = Key("nothing to do")
PLUGIN_KEYS: Keys = {
    PSEUDO_PARAMETERS: Key("yes"),
    "serverless-python-requirements": Key("yes", "install the requirements into the environment"),
    "serverless-iam-roles-per-function": Key("yes", "statements are compared, never enforced"),
    "serverless-offline": _LOCAL,
    "serverless-offline-sqs": _LOCAL,
    "serverless-offline-sns": _LOCAL,
    "serverless-offline-s3": _LOCAL,
    "serverless-offline-scheduler": _LOCAL,
    "serverless-offline-dynamodb-streams": _LOCAL,
    "serverless-offline-aws-eventbridge": _LOCAL,
    "serverless-offline-python": _LOCAL,
    "serverless-dynamodb-local": _LOCAL,
    "serverless-dynamodb": _LOCAL,
    "serverless-s3-local": _LOCAL,
    "serverless-localstack": _LOCAL,
    "serverless-dotenv-plugin": Key("yes"),
    "serverless-wsgi": Key("yes", "custom.wsgi.app behind wsgi_handler.handler"),
    "serverless-step-functions": Key("no", "state machines do not run here"),
    "serverless-appsync-plugin": Key("no", "there is no AppSync here"),
    "serverless-domain-manager": _DEPLOYMENT,
    "serverless-prune-plugin": _DEPLOYMENT,
    "serverless-plugin-tracing": _DEPLOYMENT,
    "serverless-plugin-warmup": Key("nothing to do", "replicas are always warm"),
    "serverless-plugin-canary-deployments": _DEPLOYMENT,
    "serverless-plugin-aws-alerts": _DEPLOYMENT,
    "serverless-plugin-split-stacks": _DEPLOYMENT,
    "serverless-plugin-log-retention": _DEPLOYMENT,
    "serverless-plugin-resource-tagging": _DEPLOYMENT,
    "serverless-plugin-include-dependencies": _DEPLOYMENT,
    "serverless-package-python-functions": _DEPLOYMENT,
    "serverless-deployment-bucket": _DEPLOYMENT,
    "serverless-stack-output": _DEPLOYMENT,
    "serverless-export-env": _DEPLOYMENT,
    "serverless-associate-waf": _DEPLOYMENT,
    "serverless-better-credentials": _DEPLOYMENT,
    "serverless-lift": Key("yes", "constructs of the types queue, storage, database/dynamodb-single-table"),
}
CUSTOM_KEYS: Keys = {
    "pythonRequirements": _DEPLOYMENT,
    "serverless-offline": _LOCAL,
    "serverless-offline-sqs": _LOCAL,
    "serverless-iam-roles-per-function": Key("yes"),
    "dynamodb": _LOCAL,
    "s3": _LOCAL,
    "localstack": _LOCAL,
    "dotenv": Key("partly", "the files .env and .env.STAGE"),
    "prune": _DEPLOYMENT,
    "warmup": _DEPLOYMENT,
    "customDomain": _DEPLOYMENT,
    "alerts": _DEPLOYMENT,
    "logRetentionInDays": _DEPLOYMENT,
    "wsgi": Key("yes"),
}


WSGI_KEYS: Keys = {
    "app": Key("yes", "module.application"),
    "packRequirements": _DEPLOYMENT,
    "pythonBin": _DEPLOYMENT,
    "pipArgs": _DEPLOYMENT,
    "textMimeTypes": Key("no", "bodies that are text are told by their bytes"),
}
_PREFIX = "serverless-"
WSGI_HANDLERS = ("wsgi_handler.handler", "wsgi.handler")  # the plugin's own, in its versions 2 and 1


def listed(node: Node | None) -> list[Node]:
    """The plugins of a list, or of a mapping with `modules`."""
    return [each for each in items(below(node, "modules") or node) if text_of(each)]


def read_plugins(node: Node | None, ledger: Ledger) -> None:
    """Say which plugins do nothing here."""
    for each in listed(node):
        name = text_of(each).removeprefix("@")
        key = PLUGIN_KEYS.get(name)
        ledger.count(key is not None and key.support in ("yes", "nothing to do"))
        if key is None:
            near = _near(name)
            ledger.warn(each, f"the plugin {text_of(each)} is not understood: what it does is not done here", near=near)
        elif key.support == "no":
            ledger.warn(each, f"the plugin {text_of(each)} does nothing here: {key.note}")


def _near(name: str) -> str:
    """The plugin that was probably meant; the word that most names begin with makes none like another."""
    bare = {each.removeprefix(_PREFIX): each for each in PLUGIN_KEYS}
    near = nearest(name.removeprefix(_PREFIX), bare).strip("'")
    return repr(bare[near]) if near else ""


def read_custom(node: Node | None, ledger: Ledger) -> None:
    """Say which plugins' settings do nothing here; all else under `custom` is for variables."""
    for name, setting in entries(node):
        key = CUSTOM_KEYS.get(name)
        if key is None:
            continue
        ledger.count(key.support in ("yes", "nothing to do"))
        if key.support == "no":
            ledger.warn(setting, f"custom.{name} does nothing here: {key.note}")
