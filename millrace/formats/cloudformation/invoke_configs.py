"""AWS::Lambda::EventInvokeConfig → `asynchronous:`."""

from __future__ import annotations

from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.targets import destination
from millrace.formats.cloudformation.values import below, integer
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys

INVOKE_CONFIG_KEYS: Keys = {
    "FunctionName": Key("yes"),
    "MaximumRetryAttempts": Key("yes"),
    "MaximumEventAgeInSeconds": Key("yes"),
    "DestinationConfig": Key("yes", "queues, topics, functions and event buses"),
    "Qualifier": Key("nothing to do", "there is one version of a function"),
}
_NUMBERS = {"MaximumRetryAttempts": "tries", "MaximumEventAgeInSeconds": "max_age"}
_DESTINATIONS = {"OnSuccess": "on_success", "OnFailure": "on_failure"}


def add_invoke_config(weave: Weave, resource: Resource) -> None:
    """Say how often a function's asynchronous calls are tried, and where their envelopes go."""
    weave.examine(resource, INVOKE_CONFIG_KEYS)
    function = weave.function(resource.get("FunctionName"), resource.logical_id)
    if function is None:
        return
    path = ["functions", function, "asynchronous"]
    for key, word in _NUMBERS.items():
        if (said := resource.get(key)) is not None:
            weave.put([*path, word], integer(said), said)
    for key, word in _DESTINATIONS.items():
        target = below(resource.properties, "DestinationConfig", key, "Destination")
        if target is not None and (found := destination(weave, target, f"{resource.logical_id}.{key}")):
            weave.put([*path, word], found, target)
