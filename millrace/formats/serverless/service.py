"""A serverless.yml → a Draft: variables, then provider, functions, resources and events, in this order.

file → tree with variables filled in → stack of `resources` → functions → what resources mean → events
"""

from __future__ import annotations

import os
import re

import msgspec

from millrace.config.faults import Fault, Place
from millrace.config.load import content_of, name_of
from millrace.config.tree import Node
from millrace.formats.cloudformation.contribute import contribute
from millrace.formats.cloudformation.dependencies import circular
from millrace.formats.cloudformation.grants import grants
from millrace.formats.cloudformation.stack import Stack
from millrace.formats.cloudformation.surroundings import ACCOUNT, Surroundings
from millrace.formats.cloudformation.values import below, entries, is_true, text_of
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.documents import read_document
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import mapping, put
from millrace.formats.reader import Draft, Request
from millrace.formats.serverless.functions import aws_name, declared, read_calls, read_events, read_function
from millrace.formats.serverless.ledger import Ledger
from millrace.formats.serverless.lift import lift
from millrace.formats.serverless.mending import mend
from millrace.formats.serverless.naming import function_id
from millrace.formats.serverless.plugins import PSEUDO_PARAMETERS, WSGI_KEYS, listed, read_custom, read_plugins
from millrace.formats.serverless.policies import read_policy, role_of
from millrace.formats.serverless.provider import bucket_names, read_provider
from millrace.formats.serverless.reading import Reading
from millrace.formats.serverless.resources import ALWAYS, Made, template
from millrace.formats.serverless.runtimes import runs_here
from millrace.formats.serverless.variables.answers import Known
from millrace.formats.serverless.variables.dotenv import with_dotenv
from millrace.formats.serverless.variables.files import Files
from millrace.formats.serverless.variables.pseudo import Pseudo
from millrace.formats.serverless.variables.resolver import Resolver
from millrace.formats.serverless.variables.sources import Sources

_DEPLOYMENT = Key("nothing to do")
SERVICE_KEYS: Keys = {
    "service": Key("yes", "a text, or a mapping with a name"),
    "frameworkVersion": Key("yes", "decides the defaults that changed between versions"),
    "provider": Key("yes"),
    "functions": Key("yes", "a mapping, or a list of mappings or files"),
    "resources": Key("yes", "CloudFormation, a mapping or a list"),
    "custom": Key("yes"),
    "plugins": Key("yes"),
    "params": Key("yes"),
    "stages": Key("partly", "params"),
    "useDotenv": Key("yes"),
    "layers": Key("yes", "folders with a folder `python` in them"),
    "package": Key("nothing to do", "the project's folder is the package"),
    "constructs": Key("partly", "of serverless-lift: queue, storage, database/dynamodb-single-table"),
    "lift": Key("yes"),
    "stepFunctions": Key("no", "state machines do not run here"),
    **dict.fromkeys(
        (
            *("app", "org", "tenant", "dashboard", "console", "outputs", "build", "licenseKey", "projectDir"),
            *("configValidationMode", "variablesResolutionMode", "unresolvedVariablesNotificationMode"),
            *("disabledDeprecations", "deprecationNotificationMode", "enableLocalInstallationFallback"),
            *("enableLegacyDeploymentBucket", "configFile"),
        ),
        _DEPLOYMENT,
    ),
}
SERVICE_NAME_KEYS: Keys = {
    "name": Key("yes"),
    "awsKmsKeyArn": Key("nothing to do"),
}
_SECTIONS = ("provider", "functions", "resources", "plugins", "frameworkVersion", "layers", "constructs", "lift")
_NEWEST = 3


def read(request: Request) -> Draft:
    """The project that a serverless.yml describes. Raises ConfigError when the file cannot be read."""
    ledger = Ledger()
    source = name_of(request.file)
    root = read_document(content_of(request.file), source, ledger.faults)
    if root is None or not isinstance(root.value, dict):
        if not ledger.faults:
            at = Place(source, 1, 1) if root is None else root.place
            got = "" if root is None else root.shown
            ledger.faults.append(Fault(at, "the file", "a mapping with service, provider and functions", got))
        return Draft(None, ledger.faults)
    resolver = _resolver(root, request, ledger)
    sections = {name: found for name in _SECTIONS if (found := resolver.section(name)) is not None}
    if (short := sections.get("provider")) is not None and isinstance(short.value, str):
        sections["provider"] = Node({"name": short}, short.place, short.key_place)  # `provider: aws`
    draft = Draft(mapping(root.place), ledger.faults, stages=_stages(root))
    if not _is_aws(sections.get("provider"), ledger):
        return Draft(None, ledger.faults)
    reading = _reading(root, sections, resolver, request, ledger)
    _read_sections(root, sections, reading)
    draft.tree = reading.tree
    draft.policies = reading.policies
    draft.understood, draft.keys = ledger.understood, ledger.keys + resolver.unanswered
    return draft


def _resolver(root: Node, request: Request, ledger: Ledger) -> Resolver:
    """The file with its variables, and the .env files where it asks for them."""
    folder = request.file.resolve().parent
    plugins = {text_of(each) for each in listed(below(root, "plugins"))}
    known = Known(folder, ACCOUNT, request.stage, request.parameters, os.environ)
    if is_true(below(root, "useDotenv")) or "serverless-dotenv-plugin" in plugins:
        stage = _resolver_of(root, known, plugins, []).stage  # which of the files counts depends on it
        known = msgspec.structs.replace(known, environment=with_dotenv(os.environ, folder, stage))
    return _resolver_of(root, known, plugins, ledger.faults)


def _resolver_of(root: Node, known: Known, plugins: set[str], faults: list[Fault]) -> Resolver:
    pseudo = Pseudo(PSEUDO_PARAMETERS in plugins, faults)
    return Resolver(root, Sources(known, Files(known.folder, faults)), faults, pseudo)


def _reading(root: Node, sections: dict[str, Node], resolver: Resolver, request: Request, ledger: Ledger) -> Reading:
    service = _service_name(root, resolver, ledger)
    provider = sections.get("provider")
    stage, region = resolver.stage, resolver.region
    stack_name = text_of(below(provider, "stackName")) or f"{service}-{stage}"
    surroundings = Surroundings(ACCOUNT, region, stack_name, stage, request.parameters, request.endpoint)
    functions = declared(mend(sections["functions"], ledger) if "functions" in sections else None, ledger)
    lifted = lift(sections.get("constructs"), sections.get("lift"), functions, ledger)
    functions = lifted.functions
    resources = mend(sections["resources"], ledger) if "resources" in sections else None
    named = {
        key: Made(aws_name(key, each, service, stage), each, role_of(each, provider)) for key, each in functions.items()
    }
    buckets = bucket_names(provider)
    whole, added = template(resources, named, buckets, lifted.resources, root, ledger)
    stack = Stack(whole, surroundings, ledger.faults, added)
    sections["functions"] = Node(functions, root.place, root.key_place)
    weave = Weave(stack, mapping(root.place), ledger)
    major = _major(sections.get("frameworkVersion"))
    reading = Reading(service, stage, region, major, ledger, weave, sections.get("layers"), buckets)
    reading.granted = lifted.statements
    if (wsgi := below(root, "custom", "wsgi")) is not None:
        ledger.examine(wsgi := resolver.resolve(wsgi), WSGI_KEYS, "custom.wsgi")
        reading.wsgi = below(wsgi, "app")
    at = root.child("service") or root
    put(reading.tree, ("service",), service, at)
    put(reading.tree, ("stage",), stage, root)
    put(reading.tree, ("aws",), {"account": ACCOUNT, "region": region}, below(provider, "region") or provider or root)
    return reading


def _read_sections(root: Node, sections: dict[str, Node], reading: Reading) -> None:
    """Provider, functions, resources, and then events, which speak of all of them."""
    ledger, stack, provider = reading.ledger, reading.weave.stack, sections.get("provider")
    ledger.examine(root, {**SERVICE_KEYS, "stages": Key("yes"), "constructs": Key("yes")}, "serverless.yml")
    if provider is None or not isinstance(provider.value, dict):
        ledger.refuse(provider or root, "provider", "a mapping such as `provider: {name: aws, runtime: python3.12}`")
    else:
        read_provider(provider, reading)
    read_plugins(sections.get("plugins"), ledger)
    read_custom(below(root, "custom"), ledger)
    functions = dict(entries(sections["functions"]))
    for key in [key for key, each in functions.items() if not _exists(key, each, provider, reading)]:
        reading.weave.leave_out(aws_name(key, functions.pop(key), reading.service, reading.stage))
    for key, function in functions.items():
        read_function(key, function, provider, reading)
    granted = grants(stack)
    for key, function in functions.items():
        read_policy(key, function, provider, granted.get(function_id(key)), reading)
    # What Serverless adds is there to be referred to; the functions among it are in the tree already.
    for name in [*ALWAYS, *(function_id(key) for key, _ in entries(sections["functions"]))]:
        if name in stack.resources and stack.resources[name].generated:
            del stack.resources[name]
    contribute(stack, reading.tree, ledger)
    ledger.faults += circular(stack)
    for key, function in functions.items():
        read_calls(key, function, reading)
        read_events(key, function, provider, reading)


def _exists(key: str, function: Node, provider: Node | None, reading: Reading) -> bool:
    """Whether a function runs here, and its condition, where it has one, holds."""
    return runs_here(key, function, provider, reading.ledger) and function_id(key) in reading.weave.stack.resources


def _is_aws(provider: Node | None, ledger: Ledger) -> bool:
    """Whether the service is one for AWS; nothing else is said of one for another cloud."""
    name = below(provider, "name")
    if name is not None and name.value != "aws":
        ledger.refuse(name, "only services for AWS run here: provider.name", "aws", name.shown)
        return False
    return True


def _service_name(root: Node, resolver: Resolver, ledger: Ledger) -> str:
    node = resolver.section("service")
    if node is not None and isinstance(node.value, dict):
        ledger.examine(node, SERVICE_NAME_KEYS, "service")
        node = node.child("name")
    name = text_of(node)
    if not name:
        ledger.refuse(node or root, "service", "the service's name", "nothing" if node is None else node.shown)
    return name or "service"


def _stages(root: Node) -> list[str]:
    """The stages that the file itself names."""
    named = [name for section in ("params", "stages") for name, _ in entries(below(root, section))]
    return [name for name in dict.fromkeys(named) if name != "default"]


def _major(version: Node | None) -> int:
    """The newest version of the framework that the file allows: 1 of ">=1.2.0 <2.0.0", 3 where it says nothing."""
    written = text_of(version)
    allowed = [
        int(match[2]) - (match[1] == "<")
        for match in re.finditer(r"(<=?|>=?|[~^])?\s*v?(\d{1,3})(?:\.[\dx*]+)*", written)
    ]
    if not allowed or (">" in written and "<" not in written):
        return _NEWEST
    return max(allowed)
