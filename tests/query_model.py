"""SQS as SDKs knew it before 2023: botocore's model, told to speak the query protocol.

    boto3 and the aws command read it where AWS_DATA_PATH leads to.

Names of elements: SQS API reference of 2012-11-05, the examples of each action.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

_VERSION = "2012-11-05"
_ITEMS = {  # what a list repeats
    "AWSAccountIdList": "AWSAccountId",
    "ActionNameList": "ActionName",
    "AttributeNameList": "AttributeName",
    "BatchResultErrorEntryList": "BatchResultErrorEntry",
    "BinaryList": "BinaryListValue",
    "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
    "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
    "MessageAttributeNameList": "MessageAttributeName",
    "MessageList": "Message",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "QueueUrlList": "QueueUrl",
    "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
    "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
    "StringList": "StringListValue",
    "TagKeyList": "TagKey",
}
_MAPS = {  # what a map repeats, and what it calls its keys
    "QueueAttributeMap": ("Attribute", "Name"),
    "MessageBodyAttributeMap": ("MessageAttribute", "Name"),
    "MessageBodySystemAttributeMap": ("MessageSystemAttribute", "Name"),
    "MessageSystemAttributeMap": ("Attribute", "Name"),
    "TagMap": ("Tag", "Key"),
}


def write_query_model(folder: Path) -> Path:
    """Write the model; the folder to give as AWS_DATA_PATH."""
    model = json.loads(json.dumps(Loader().load_service_model("sqs", "service-2")))
    metadata = model["metadata"]
    for name in ("jsonVersion", "targetPrefix", "awsQueryCompatible", "protocols", "auth"):
        metadata.pop(name, None)
    metadata |= {"protocol": "query", "xmlNamespace": f"http://queue.amazonaws.com/doc/{_VERSION}/"}
    for name, operation in model["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    for name, shape in model["shapes"].items():
        _spell(name, shape, model["shapes"])
    target = folder / "sqs" / _VERSION / "service-2.json"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(model))
    return folder


def _spell(name: str, shape: dict[str, Any], shapes: dict[str, Any]) -> None:
    if shape["type"] == "list":
        shape["flattened"] = True
        shape["member"]["locationName"] = _ITEMS[name]
    elif shape["type"] == "map":
        shape["flattened"] = True
        shape["key"]["locationName"], shape["value"]["locationName"] = _MAPS[name][1], "Value"
    elif shape["type"] == "structure":
        for member in shape["members"].values():
            if member["shape"] in _MAPS:
                member["locationName"] = _MAPS[member["shape"]][0]
