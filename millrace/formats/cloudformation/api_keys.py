"""AWS::ApiGateway::ApiKey → `gateway.api_keys`; of usage plans, what does nothing here."""

from __future__ import annotations

from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.values import is_false, text_of
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys

API_KEY_KEYS: Keys = {
    "Name": Key("yes"),
    "Value": Key("yes", "left out, it is made at the first start, in .millrace/api_keys.json"),
    "Enabled": Key("yes"),
    "StageKeys": Key("nothing to do"),
    "Description": Key("nothing to do"),
    "CustomerId": Key("nothing to do"),
    "GenerateDistinctId": Key("nothing to do"),
    "Tags": Key("nothing to do"),
}
USAGE_PLAN_KEYS: Keys = {
    "ApiStages": Key("nothing to do", "every key opens every path that wants one"),
    "Throttle": Key("no", "nothing is throttled"),
    "Quota": Key("no", "nothing is counted"),
    "UsagePlanName": Key("nothing to do"),
    "Description": Key("nothing to do"),
    "Tags": Key("nothing to do"),
}


def add_api_key(weave: Weave, resource: Resource) -> None:
    """Declare a key; one whose value AWS would make up gets it at the first start."""
    weave.examine(resource, API_KEY_KEYS)
    if is_false(resource.get("Enabled")):
        return
    name = text_of(resource.get("Name")) or resource.logical_id
    given = resource.get("Value")
    weave.put(["gateway", "api_keys", name], text_of(given) or None, given or resource.properties)


def examine_usage_plan(weave: Weave, resource: Resource) -> None:
    """Declare nothing; tell which limits of a plan do not hold here."""
    weave.examine(resource, USAGE_PLAN_KEYS)
