"""AWS::DynamoDB::Table → `tables:`, and as it is for the local endpoint."""

from __future__ import annotations

from millrace.config.tree import Node
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.values import below, items, text_of
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys

TABLE_KEYS: Keys = {
    "TableName": Key("yes", "left out, it is <stack>-<LogicalId>"),
    "KeySchema": Key("yes"),
    "AttributeDefinitions": Key("yes"),
    "StreamSpecification": Key("yes"),
    "GlobalSecondaryIndexes": Key("yes"),
    "LocalSecondaryIndexes": Key("yes"),
    "TimeToLiveSpecification": Key("partly", "the attribute is known; rows do not expire by themselves"),
    "BillingMode": Key("nothing to do"),
    "ProvisionedThroughput": Key("nothing to do", "nothing is throttled"),
    "OnDemandThroughput": Key("nothing to do", "nothing is throttled"),
    "PointInTimeRecoverySpecification": Key("nothing to do"),
    "SSESpecification": Key("nothing to do", "rows lie on your own disk"),
    "TableClass": Key("nothing to do"),
    "DeletionProtectionEnabled": Key("nothing to do"),
    "ContributorInsightsSpecification": Key("nothing to do"),
    "Tags": Key("nothing to do"),
    "KinesisStreamSpecification": Key("no", "there are no Kinesis streams here"),
    "ImportSourceSpecification": Key("no", "nothing is imported"),
}
VIEWS = {"NEW_AND_OLD_IMAGES": "new_and_old", "NEW_IMAGE": "new", "OLD_IMAGE": "old", "KEYS_ONLY": "keys"}


def add_table(weave: Weave, resource: Resource) -> None:
    """Declare a table by its keys; the endpoint makes it from the resource itself."""
    weave.examine(resource, TABLE_KEYS)
    if (name := weave.claim("tables", resource)) is None:
        return
    weave.put(["tables", name], {}, resource.properties)
    schema = resource.get("KeySchema")
    by_role = {text_of(each.child("KeyType")): each.child("AttributeName") for each in items(schema)}
    hashed, ranged = by_role.get("HASH"), by_role.get("RANGE")
    if hashed is None:
        expected = "a KeySchema with an attribute whose KeyType is HASH"
        weave.refuse(schema or resource.properties, f"{resource.logical_id} has no key", expected)
        return
    weave.put(["tables", name, "key"], hashed, hashed)
    if ranged is not None:
        weave.put(["tables", name, "sort"], ranged, ranged)


def view_of(weave: Weave, table: str) -> Node | None:
    """Which images a table's stream carries, in millrace's word; None where the table is none of the stack's."""
    resource = weave.stack.find("AWS::DynamoDB::Table", table)
    said = None if resource is None else below(resource.properties, "StreamSpecification", "StreamViewType")
    if said is None:
        return None
    if text_of(said) not in VIEWS:
        weave.refuse(said, "StreamViewType", "one of " + ", ".join(VIEWS), said.shown)
        return None
    return Node(VIEWS[text_of(said)], said.place, said.key_place)
