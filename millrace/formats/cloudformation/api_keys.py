"""AWS::ApiGateway::ApiKey → `gateway.api_keys`."""

from __future__ import annotations

from hashlib import blake2b

from millrace.formats.cloudformation.stack import Resource
from millrace.formats.cloudformation.values import is_false, text_of
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys

API_KEY_KEYS: Keys = {
    "Name": Key("yes"),
    "Value": Key("yes", "left out, one is made of the stack's and the key's name"),
    "Enabled": Key("yes"),
    "StageKeys": Key("nothing to do"),
    "Description": Key("nothing to do"),
    "CustomerId": Key("nothing to do"),
    "GenerateDistinctId": Key("nothing to do"),
    "Tags": Key("nothing to do"),
}


def add_api_key(weave: Weave, resource: Resource) -> None:
    """Declare a key; one whose value AWS would make up gets the same at each start, and it is told."""
    weave.examine(resource, API_KEY_KEYS)
    if is_false(resource.get("Enabled")):
        return
    value = text_of(resource.get("Value"))
    name = text_of(resource.get("Name")) or resource.logical_id
    at = resource.get("Value") or resource.properties
    if not value:
        value = blake2b(f"{weave.stack.surroundings.stack}/{resource.logical_id}".encode(), digest_size=20).hexdigest()
        weave.warn(at, f"AWS would make up the API key {name}; here it is {value}", "x-api-key: " + value)
    weave.put(["gateway", "api_keys", name], value, at)
