"""AWS::Lambda::Function → `functions:`."""

from __future__ import annotations

import posixpath

from millrace.config.tree import Node
from millrace.formats.arns import parse_arn
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.targets import destination
from millrace.formats.cloudformation.values import below, entries, integer, items, measured, side_by_side, text_of
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import node

FUNCTION_KEYS: Keys = {
    "FunctionName": Key("yes", "left out, it is <stack>-<LogicalId>"),
    "Handler": Key("yes"),
    "Runtime": Key("yes", "Python, of whatever version millrace itself runs on; other languages are left out"),
    "Code": Key("yes", "a folder beside the template; archives in a bucket and code inside the template are not read"),
    "Description": Key("yes"),
    "Timeout": Key("yes", "3 seconds where it is left out"),
    "MemorySize": Key("yes", "128 MiB where it is left out; beyond it the function is killed"),
    "Environment": Key("yes"),
    "DeadLetterConfig": Key("yes"),
    "Layers": Key("yes", "those of the same template; for others, install what is in them"),
    "ReservedConcurrentExecutions": Key(
        "yes", "as many processes, but at most one per core; one without it: `replicas`"
    ),
    "PackageType": Key("yes", "images are run from their folder (Metadata.DockerContext), if they are Python"),
    "ImageConfig": Key("yes", "Command is the handler"),
    "Role": Key("nothing to do", "functions may do everything here"),
    "Architectures": Key("nothing to do"),
    "CodeSigningConfigArn": Key("nothing to do"),
    "EphemeralStorage": Key("nothing to do", "the disk is your own"),
    "FileSystemConfigs": Key("no", "no file system is mounted"),
    "KmsKeyArn": Key("nothing to do"),
    "LoggingConfig": Key("yes", "ApplicationLogLevel"),
    "RuntimeManagementConfig": Key("nothing to do"),
    "SnapStart": Key("nothing to do"),
    "RecursiveLoop": Key("nothing to do"),
    "TracingConfig": Key("nothing to do"),
    "VpcConfig": Key("nothing to do", "the network is your own"),
    "Tags": Key("nothing to do"),
}
LOGGING_KEYS: Keys = {
    "ApplicationLogLevel": Key("yes"),
    **dict.fromkeys(("LogFormat", "LogGroup", "SystemLogLevel"), Key("nothing to do", "see `millrace logs`")),
}
# Lambda's own where nothing is said: Lambda API reference, CreateFunction.
_TIMEOUT_S = 3
_MEMORY_MB = 128
LOG_LEVEL = "AWS_LAMBDA_LOG_LEVEL"  # by which Lambda tells its runtime


def add_function(weave: Weave, resource: Resource) -> None:
    """Declare a function by its logical id, with the folder of its code."""
    weave.examine(resource, FUNCTION_KEYS)
    name = weave.stack.name_of(resource.logical_id)
    if name in [text_of(each.child("name")) for each in weave.section("functions").values()]:
        return  # the reader of another format has put it there already
    handler = _handler(weave, resource)
    if handler is None:
        weave.leave_out(name)
        return
    path = ["functions", resource.logical_id]
    like = Node(None, resource.properties.place, resource.node.key_place)
    weave.put(path, {"handler": handler, "name": resource.get("FunctionName") or name}, like)
    root = _folder(weave, resource)
    if root is not None:
        weave.put([*path, "root"], root, root)
    weave.put([*path, "timeout"], integer(resource.get("Timeout") or node(_TIMEOUT_S, like)), like)
    weave.put([*path, "memory"], measured(resource.get("MemorySize") or node(_MEMORY_MB, like), "MiB"), like)
    if (said := resource.get("Description")) is not None:
        weave.put([*path, "description"], said, said)
    _add_environment(weave, resource, path, "" if root is None else text_of(root))
    reserved = resource.get("ReservedConcurrentExecutions")
    if reserved is not None and reserved.value is not None:
        weave.put([*path, "replicas"], side_by_side(reserved), reserved)
    weave.put([*path, "asynchronous"], {}, like)


def add_dead_letter(weave: Weave, resource: Resource) -> None:
    """Say where the events of failed asynchronous calls go, all functions being declared."""
    target = resource.get("DeadLetterConfig", "TargetArn")
    if target is None or target.value is None or resource.logical_id not in weave.section("functions"):
        return
    found = destination(weave, target, f"{resource.logical_id}.DeadLetterConfig")
    if found is not None:
        weave.put(["functions", resource.logical_id, "asynchronous", "dead_letter"], found, target)


def _handler(weave: Weave, resource: Resource) -> Node | None:
    """The handler, None where the function cannot run here."""
    image = text_of(resource.get("PackageType")) == "Image"
    command = items(resource.get("ImageConfig", "Command"))
    runtime, handler = resource.get("Runtime"), resource.get("Handler")
    if runtime is not None and not text_of(runtime).startswith("python"):
        weave.warn(runtime, f"{resource.logical_id} runs on {text_of(runtime)}, not on Python: left out")
        return None
    if image and not command:
        weave.warn(resource.properties, f"{resource.logical_id} is an image: left out", "ImageConfig.Command")
        return None
    inline = resource.get("Code", "ZipFile")
    if inline is not None:
        weave.warn(inline, f"the code of {resource.logical_id} stands in the template: left out", "it in a file")
        return None
    found = command[0] if image else handler
    if found is None:
        weave.refuse(resource.properties, f"{resource.logical_id} has no Handler", "module.function")
    return found


def _folder(weave: Weave, resource: Resource) -> Node | None:
    """The folder of the code below the template's, None where it is that folder itself."""
    code = below(resource.node, "Metadata", "DockerContext") or resource.get("Code")
    if code is None:
        return None
    if isinstance(code.value, dict):
        if resource.get("Code", "ImageUri") is None:
            weave.warn(code, f"the code of {resource.logical_id} lies at AWS: the template's folder stands in")
        return None
    folder = posixpath.normpath(text_of(code) or ".")
    if folder.endswith((".zip", ".jar")):
        weave.warn(code, f"the code of {resource.logical_id} is an archive, which is not unpacked", "a folder")
        return None
    return None if folder == "." else Node(folder, code.place, code.key_place)


def _add_environment(weave: Weave, resource: Resource, path: list[str], root: str) -> None:
    for key, value in entries(resource.get("Environment", "Variables")):
        if isinstance(value.value, dict | list):
            where = f"{resource.logical_id}.Environment.Variables.{key}"
            weave.refuse(value, where, "a text or a number", value.shown)
        else:
            weave.put([*path, "environment", key], value if value.value is not None else "", value)
    if (logging := resource.get("LoggingConfig")) is not None and not resource.generated:
        weave.examine_part(logging, LOGGING_KEYS, f"{resource.logical_id}.LoggingConfig")
    level = resource.get("LoggingConfig", "ApplicationLogLevel")
    if level is not None and level.value is not None and resource.get("Environment", "Variables", LOG_LEVEL) is None:
        weave.put([*path, "environment", LOG_LEVEL], level, level)
    folders = [each for layer in items(resource.get("Layers")) if (each := _layer(weave, layer, resource, root))]
    if folders:
        said = resource.get("Environment", "Variables", "PYTHONPATH")
        own = [text_of(said)] if said is not None else []
        weave.put([*path, "environment", "PYTHONPATH"], ":".join([*folders, *own]), resource.properties)


def _layer(weave: Weave, layer: Node, resource: Resource, root: str) -> str:
    """The folder of a layer's packages as seen from the function's; empty, with a warning, where it is not here."""
    arn = parse_arn(text_of(layer))
    name = "" if arn is None else arn.name.split(":")[0]
    found = weave.stack.find("AWS::Lambda::LayerVersion", name)
    content = None if found is None else found.get("Content")
    if found is None or content is None or not text_of(content):
        weave.warn(layer, f"{resource.logical_id}: a layer that lies at AWS: install what is in it", "a layer's folder")
        return ""
    built = below(found.node, "Metadata", "BuildMethod") is not None
    folder = posixpath.join(text_of(content), "" if built else "python")
    return posixpath.relpath(posixpath.join("/", folder), posixpath.join("/", root))
