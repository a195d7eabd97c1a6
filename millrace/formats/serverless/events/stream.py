"""`stream`: a table's changes, as AWS's event source mapping gives them."""

from __future__ import annotations

from millrace.config.faults import one_of
from millrace.formats.cloudformation.values import text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.serverless.events import mapping
from millrace.formats.serverless.events.asked import Asked
from millrace.formats.serverless.targets import arn_in, table

STREAM_KEYS: Keys = {
    "arn": Key("yes", "a table's stream; streams of Kinesis are left aside"),
    "type": Key("partly", "dynamodb"),
    "batchSize": Key("yes", "100 without it"),
    "batchWindow": Key("yes"),
    "startingPosition": Key("partly", "TRIM_HORIZON and LATEST"),
    "startingPositionTimestamp": Key("no", "reading begins at the oldest or the latest change"),
    "enabled": Key("yes"),
    "functionResponseType": Key("yes", "ReportBatchItemFailures"),
    "filterPatterns": Key("yes"),
    "maximumRetryAttempts": Key("yes"),
    "maximumRecordAgeInSeconds": Key("yes"),
    "bisectBatchOnFunctionError": Key("yes"),
    "parallelizationFactor": Key("nothing to do"),
    "destinations": Key("yes", "onFailure"),
    "tumblingWindowInSeconds": Key("no", "there are no windows with a state"),
    "consumer": Key("no", "Kinesis alone has consumers"),
    "tags": Key("nothing to do"),
}
_STARTS = ("TRIM_HORIZON", "LATEST")
_NAMES = {
    "batchSize": "BatchSize",
    "batchWindow": "MaximumBatchingWindowInSeconds",
    "enabled": "Enabled",
    "startingPosition": "StartingPosition",
    "maximumRetryAttempts": "MaximumRetryAttempts",
    "maximumRecordAgeInSeconds": "MaximumRecordAgeInSeconds",
    "bisectBatchOnFunctionError": "BisectBatchOnFunctionError",
}


def read_stream(asked: Asked) -> None:
    """One `table` event; none, with a warning, for Kinesis."""
    source = asked.get("arn") or asked.node
    _, arn = arn_in(source, asked.reading)
    if text_of(asked.get("type")) == "kinesis" or (arn is not None and arn.service == "kinesis"):
        asked.warn(asked.node, "streams of Kinesis do not run here, so this event is left aside")
        return
    asked.examine({**STREAM_KEYS, "type": Key("yes"), "startingPosition": Key("yes")})
    start = asked.get("startingPosition")
    if start is not None and text_of(start) not in _STARTS:
        asked.warn(start, f"startingPosition {start.shown} is taken as TRIM_HORIZON", one_of(_STARTS))
    if table(source, asked.where, asked.reading) is not None:
        mapping.add(asked, asked.reading.resolve(source), _NAMES)
