"""Each event field by field against AWS's documented samples, and any message against JSON."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_samples import AT, SPEC

from millrace.aws import attributes
from millrace.aws.attributes import Attribute
from millrace.aws.events import apigateway, dynamodb, eventbridge, pubsub, s3, sns, sqs
from millrace.source import (
    BusPost,
    HttpRequest,
    ObjectChange,
    Published,
    Push,
    RowChange,
    Tick,
    TopicAttribute,
)
from millrace.types import Message


def sqs_record(message: Message, attempt: int = 1, queue: str = "images") -> dict[str, Any]:
    event = sqs.event([message], [attempt], ["AQEB"], queue=queue, spec=SPEC, now=AT + 1)
    assert list(event) == ["Records"]
    (record,) = event["Records"]
    return record


class TestSqs:
    def test_a_standard_queue_record_has_the_documented_fields(self) -> None:
        assert sqs_record(Message("m1", b"Test message.", {}, AT)) == {
            "messageId": "m1",
            "receiptHandle": "AQEB",
            "body": "Test message.",
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1700000000123",
                "SenderId": "123456789012",
                "ApproximateFirstReceiveTimestamp": "1700000001123",
            },
            "messageAttributes": {},
            "md5OfBody": hashlib.md5(b"Test message.").hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:images",
            "awsRegion": "eu-west-1",
        }

    def test_a_record_of_a_fair_queue_adds_its_group_alone(self) -> None:
        record = sqs_record(Message("order-1", b"x", {"millrace-group": "tenant"}, AT), queue="orders")
        assert record["attributes"]["MessageGroupId"] == "tenant"
        assert not {"MessageDeduplicationId", "SequenceNumber"} & set(record["attributes"])
        assert (record["messageAttributes"], record["eventSourceARN"].endswith(".fifo")) == ({}, False)

    def test_a_fifo_record_adds_group_deduplication_and_sequence(self) -> None:
        record = sqs_record(Message("order-1", b"x", {}, AT, group="g"), queue="orders")
        assert record["attributes"]["MessageGroupId"] == "g"
        assert record["attributes"]["MessageDeduplicationId"] == "order-1"
        assert len(record["attributes"]["SequenceNumber"]) == 20
        assert record["eventSourceARN"].endswith(":orders.fifo")

    def test_a_fifo_queue_that_is_named_so_already_keeps_its_name(self) -> None:
        record = sqs_record(Message("m", b"x", {}, AT, group="g"), queue="orders.fifo")
        assert record["eventSourceARN"].endswith(":orders.fifo")

    def test_later_sequence_numbers_are_greater(self) -> None:
        numbers = [
            sqs_record(Message("m", b"", {}, at, group="g"))["attributes"]["SequenceNumber"]
            for at in (1.0, 99.0, AT, AT + 0.001)
        ]
        assert numbers == sorted(set(numbers))

    def test_a_second_delivery_says_so(self) -> None:
        system = sqs_record(Message("m1", b"", {}, AT), attempt=2)["attributes"]
        assert system["ApproximateReceiveCount"] == "2"
        assert system["ApproximateFirstReceiveTimestamp"] == "1700000000123"

    def test_the_brokers_own_time_and_number_go_first(self) -> None:
        messages = [Message("a", b"", {}, AT, "g"), Message("b", b"", {}, AT, "g")]
        event = sqs.event(
            messages, [1, 3], ["", ""], queue="q", spec=SPEC, now=AT + 9, first_taken=[AT + 1, AT + 2], sequences=[7, 8]
        )
        found = [record["attributes"] for record in event["Records"]]
        assert [each["ApproximateFirstReceiveTimestamp"] for each in found] == ["1700000001123", "1700000002123"]
        assert [each["SequenceNumber"] for each in found] == [f"{7:020d}", f"{8:020d}"]

    def test_message_attributes_carry_the_empty_lists_that_lambda_adds(self) -> None:
        record = sqs_record(Message("m1", b"", {"colour": "red", "millrace-event-id": "hidden"}, AT))
        assert record["messageAttributes"] == {
            "colour": {"stringValue": "red", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
        }
        assert record["md5OfMessageAttributes"] == attributes.digest({"colour": attributes.text("red")})

    def test_the_digest_of_attributes_is_the_one_that_sqs_documents(self) -> None:
        # By hand: each of name, type and value behind its length; 01 says that the value is a string.
        parts = b"".join(
            len(part).to_bytes(4, "big") + part + (b"\x01" if part == b"String" else b"")
            for part in (b"a", b"String", b"1", b"b", b"String", "ü".encode())
        )
        assert (
            attributes.digest({"b": attributes.text("ü"), "a": attributes.text("1")}) == hashlib.md5(parts).hexdigest()
        )

    def test_a_body_that_is_no_text_is_base64_and_says_so(self) -> None:
        record = sqs_record(Message("m1", b"\xff\xd8\xff", {}, AT))
        assert b64decode(record["body"]) == b"\xff\xd8\xff"
        assert record["messageAttributes"]["millrace-encoding"]["stringValue"] == "base64"
        assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()
        assert record["md5OfMessageAttributes"] == attributes.digest({"millrace-encoding": attributes.text("base64")})

    def test_typed_attributes_come_back_as_they_were_sent(self) -> None:
        sent = {
            "n": Attribute("Number", "7"),
            "price": Attribute("Number.euro", "1.50"),
            "b": Attribute("Binary", None, b"\xff\x00"),
            "s": Attribute("String", "x"),
            "label": Attribute("String.colour", "red"),
        }
        record = sqs_record(Message("m1", b"", attributes.write(sent), AT))
        none: dict[str, list[str]] = {"stringListValues": [], "binaryListValues": []}
        assert record["messageAttributes"] == {
            "n": {"stringValue": "7", **none, "dataType": "Number"},
            "price": {"stringValue": "1.50", **none, "dataType": "Number.euro"},
            "b": {"binaryValue": "/wA=", **none, "dataType": "Binary"},
            "s": {"stringValue": "x", **none, "dataType": "String"},
            "label": {"stringValue": "red", **none, "dataType": "String.colour"},
        }
        assert record["md5OfMessageAttributes"] == attributes.digest(sent)

    def test_a_binary_attribute_is_digested_with_its_bytes(self) -> None:
        parts = (
            (1).to_bytes(4, "big")
            + b"b"
            + (6).to_bytes(4, "big")
            + b"Binary\x02"
            + (2).to_bytes(4, "big")
            + b"\xff\x00"
        )
        assert attributes.digest({"b": Attribute("Binary", None, b"\xff\x00")}) == hashlib.md5(parts).hexdigest()

    def test_attributes_that_are_none_of_ours_are_left_out(self) -> None:
        for broken in (
            "nonsense",
            "[1]",
            '{"a": {"StringValue": "x"}}',
            '{"a": {"DataType": "Binary", "BinaryValue": "!"}}',
        ):
            assert sqs_record(Message("m1", b"", {"millrace-attributes": broken}, AT))["messageAttributes"] == {}

    def test_what_came_through_the_endpoint_keeps_its_system_attributes(self) -> None:
        ours = {"millrace-dedupe": "d-1", "millrace-trace": "Root=1-5e3", "millrace-dead-from": "orders.fifo"}
        record = sqs_record(Message("m1", b"", ours, AT, "g"), queue="orders-dlq.fifo")
        assert record["attributes"]["MessageDeduplicationId"] == "d-1"
        assert record["attributes"]["AWSTraceHeader"] == "Root=1-5e3"
        assert record["attributes"]["DeadLetterQueueSourceArn"] == "arn:aws:sqs:eu-west-1:123456789012:orders.fifo"
        assert record["messageAttributes"] == {}

    @given(
        body=st.binary(),
        attributes=st.dictionaries(st.text(), st.text()),
        group=st.text(),
        sent_at=st.floats(0, 4e9),
        attempt=st.integers(1, 10_000),
    )
    def test_any_message_makes_an_event_that_json_holds_and_loses_nothing(
        self, body: bytes, attributes: dict[str, str], group: str, sent_at: float, attempt: int
    ) -> None:
        record = sqs_record(Message("id", body, attributes, sent_at, group), attempt)
        assert json.loads(json.dumps(record)) == record
        assert all(isinstance(value, str) for value in record["attributes"].values())
        seen = {name: value["stringValue"] for name, value in record["messageAttributes"].items()}
        is_base64 = seen.pop("millrace-encoding", "") == "base64"
        assert (b64decode(record["body"]) if is_base64 else record["body"].encode()) == body
        assert seen == {name: value for name, value in attributes.items() if not name.startswith("millrace-")}


TICK = Tick("rate(5 minutes)", "nightly", AT)


class TestEventBridge:
    @pytest.mark.parametrize(
        ("path", "part"),
        [
            ("$.time", "2023-11-14T22:13:20Z"),
            ("$.detail", {}),
            ("$.resources[0]", f"arn:aws:events:eu-west-1:123456789012:rule/{eventbridge.rule_name(TICK)}"),
            ("$.resources[1]", None),
            ("$.detail.gone", None),
        ],
    )
    def test_a_tick_s_part(self, path: str, part: object) -> None:
        assert eventbridge.event(msgspec.structs.replace(TICK, path=path), "m1", SPEC) == part

    def test_a_tick_is_the_documented_scheduled_event(self) -> None:
        tick = Tick("rate(5 minutes)", "nightly", AT)
        event = eventbridge.event(tick, "m1", SPEC)
        assert event == {
            "version": "0",
            "id": event["id"],
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": "123456789012",
            "time": "2023-11-14T22:13:20Z",
            "region": "eu-west-1",
            "resources": [f"arn:aws:events:eu-west-1:123456789012:rule/{eventbridge.rule_name(tick)}"],
            "detail": {},
        }
        assert len(event["id"]) == 36
        assert eventbridge.event(tick, "m1", SPEC)["id"] == event["id"]
        assert eventbridge.event(tick, "m2", SPEC)["id"] != event["id"]

    def test_two_schedules_of_a_function_are_told_apart(self) -> None:
        assert eventbridge.rule_name(Tick("rate(1 day)", "f", 0)) != eventbridge.rule_name(Tick("rate(1 hour)", "f", 0))

    def test_an_event_of_a_bus_is_the_documented_one(self) -> None:
        post = BusPost("default", "7bf7", "shop", "Order", msgspec.Raw(b'{"total":1.5}'), AT, ["arn:x"])
        assert eventbridge.bus_event(post, SPEC) == {
            "version": "0",
            "id": "7bf7",
            "detail-type": "Order",
            "source": "shop",
            "account": "123456789012",
            "time": "2023-11-14T22:13:20Z",
            "region": "eu-west-1",
            "resources": ["arn:x"],
            "detail": {"total": 1.5},
        }


class TestSns:
    PUBLISHED = Published("alarms", "95df", "Hello", AT, "Title", {"colour": TopicAttribute("String", "red")})

    def test_a_notification_is_the_documented_event(self) -> None:
        (record,) = sns.event(self.PUBLISHED, SPEC)["Records"]
        assert (record["EventSource"], record["EventVersion"]) == ("aws:sns", "1.0")
        assert record["EventSubscriptionArn"].startswith("arn:aws:sns:eu-west-1:123456789012:alarms:")
        told = record["Sns"]
        assert set(told) == {
            *("Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature"),
            *("SigningCertUrl", "UnsubscribeUrl", "MessageAttributes"),
        }
        assert (told["Type"], told["MessageId"], told["Subject"]) == ("Notification", "95df", "Title")
        assert told["TopicArn"] == "arn:aws:sns:eu-west-1:123456789012:alarms"
        assert (told["Message"], told["Timestamp"]) == ("Hello", "2023-11-14T22:13:20.123Z")
        assert told["MessageAttributes"] == {"colour": {"Type": "String", "Value": "red"}}

    def test_a_queue_gets_an_envelope_with_other_spellings(self) -> None:
        told = sns.envelope(self.PUBLISHED, SPEC)
        assert {"SigningCertURL", "UnsubscribeURL", "Subject", "MessageAttributes"} <= set(told)
        plain = sns.envelope(Published("alarms", "95df", "Hello", AT), SPEC)
        assert {"Subject", "MessageAttributes"}.isdisjoint(plain)

    def test_a_text_for_each_protocol(self) -> None:
        texts = json.dumps({"default": "all", "sqs": "queue"})
        published = Published("alarms", "95df", texts, AT, json=True)
        assert sns.event(published, SPEC)["Records"][0]["Sns"]["Message"] == "all"
        assert sns.envelope(published, SPEC)["Message"] == "queue"


class TestS3:
    def test_a_created_object_is_the_documented_notification(self) -> None:
        change = ObjectChange("created", "lake", "in/red flower ü+1.jpg", 1024, "d41d8c", AT)
        event = s3.event(change, "m1", SPEC)
        (record,) = event["Records"]
        assert set(record) == {
            *("eventVersion", "eventSource", "awsRegion", "eventTime", "eventName", "userIdentity"),
            *("requestParameters", "responseElements", "s3"),
        }
        assert record["eventVersion"].startswith("2.")
        assert record["eventSource"] == "aws:s3"
        assert record["awsRegion"] == "eu-west-1"
        assert record["eventTime"] == "2023-11-14T22:13:20.123Z"
        assert record["eventName"] == "ObjectCreated:Put"
        assert set(record["responseElements"]) == {"x-amz-request-id", "x-amz-id-2"}
        bucket = {"name": "lake", "ownerIdentity": {"principalId": "123456789012"}, "arn": "arn:aws:s3:::lake"}
        assert record["s3"]["s3SchemaVersion"] == "1.0"
        assert record["s3"]["bucket"] == bucket
        shown = record["s3"]["object"]
        assert shown["key"] == "in/red+flower+%C3%BC%2B1.jpg"
        assert (shown["size"], shown["eTag"]) == (1024, "d41d8c")
        int(shown["sequencer"], 16)

    def test_a_removed_object_has_neither_size_nor_etag(self) -> None:
        (record,) = s3.event(ObjectChange("removed", "lake", "a", 0, "", AT), "m1", SPEC)["Records"]
        assert record["eventName"] == "ObjectRemoved:Delete"
        assert set(record["s3"]["object"]) == {"key", "sequencer"}

    def test_what_happens_later_has_a_greater_sequencer(self) -> None:
        def sequencer(at: float) -> str:
            event = s3.event(ObjectChange("created", "b", "k", 1, "e", at), "m", SPEC)
            return str(event["Records"][0]["s3"]["object"]["sequencer"])

        assert sequencer(AT) < sequencer(AT + 0.001) < sequencer(AT + 1e9)


def row_change(kind: Any = "insert", old: Any = None, new: Any = None, sequence: int = 111) -> RowChange:
    raw = [None if row is None else msgspec.Raw(msgspec.json.encode(row)) for row in (old, new)]
    return RowChange(kind, "pets", "id", "rex", sequence, raw[0], raw[1], AT)


class TestDynamoDb:
    @pytest.mark.parametrize(
        ("view", "shown", "images"),
        [
            ("new_and_old", "NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
            ("new", "NEW_IMAGE", {"NewImage"}),
            ("old", "OLD_IMAGE", {"OldImage"}),
            ("keys", "KEYS_ONLY", set()),
        ],
    )
    def test_a_view_shows_its_images_and_always_the_keys(self, view: Any, shown: str, images: set[str]) -> None:
        change = row_change("modify", {"id": "rex", "at": 1}, {"id": "rex", "at": 1, "age": 3})
        change = msgspec.structs.replace(change, view=view, sort_field="at")
        told = dynamodb.event([change], ["m1"], SPEC)["Records"][0]["dynamodb"]
        assert told["StreamViewType"] == shown
        assert {"NewImage", "OldImage"} & set(told) == images
        assert told["Keys"] == {"id": {"S": "rex"}, "at": {"N": "1"}}

    def test_types_that_json_cannot_hold_come_back(self) -> None:
        row = {"id": "rex", "b": {"$dynamodb": {"B": "/wA="}}, "in": [{"$dynamodb": {"NS": ["1", "2"]}}]}
        told = dynamodb.event([row_change(new=row)], ["m1"], SPEC)["Records"][0]["dynamodb"]
        assert told["NewImage"]["b"] == {"B": "/wA="}
        assert told["NewImage"]["in"] == {"L": [{"NS": ["1", "2"]}]}

    def test_an_insert_is_the_documented_record(self) -> None:
        event = dynamodb.event([row_change(new={"id": "rex", "age": 3})], ["m1"], SPEC)
        (record,) = event["Records"]
        assert record == {
            "eventID": record["eventID"],
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "eu-west-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_700_000_000,
                "Keys": {"id": {"S": "rex"}},
                "NewImage": {"id": {"S": "rex"}, "age": {"N": "3"}},
                "SequenceNumber": "000000000000000000111",
                "SizeBytes": record["dynamodb"]["SizeBytes"],
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/pets/stream/prod",
        }
        assert len(record["eventID"]) == 32

    def test_modify_and_remove_have_the_images_that_there_are(self) -> None:
        changes = [row_change("modify", {"id": "rex"}, {"id": "rex"}), row_change("remove", {"id": "rex"})]
        modify, remove = dynamodb.event(changes, ["m1", "m2"], SPEC)["Records"]
        assert (modify["eventName"], remove["eventName"]) == ("MODIFY", "REMOVE")
        assert {"NewImage", "OldImage"} <= modify["dynamodb"].keys()
        assert "NewImage" not in remove["dynamodb"]
        assert remove["dynamodb"]["Keys"] == {"id": {"S": "rex"}}

    def test_a_change_without_images_still_has_its_key(self) -> None:
        (record,) = dynamodb.event([row_change("remove")], ["m1"], SPEC)["Records"]
        assert record["dynamodb"]["Keys"] == {"id": {"S": "rex"}}

    def test_values_are_marshalled_with_their_digits(self) -> None:
        row = (
            b'{"id":"rex","n":0.1,"big":123456789012345678901,"e":1.50,"ok":true,"no":null,"l":[1,"a"],"m":{"x":false}}'
        )
        change = RowChange("insert", "pets", "id", "rex", 1, None, msgspec.Raw(row), AT)
        image = dynamodb.event([change], ["m1"], SPEC)["Records"][0]["dynamodb"]["NewImage"]
        assert image == {
            "id": {"S": "rex"},
            "n": {"N": "0.1"},
            "big": {"N": "123456789012345678901"},
            "e": {"N": "1.50"},
            "ok": {"BOOL": True},
            "no": {"NULL": True},
            "l": {"L": [{"N": "1"}, {"S": "a"}]},
            "m": {"M": {"x": {"BOOL": False}}},
        }

    def test_sequence_numbers_sort_as_text(self) -> None:
        numbers = [dynamodb.sequence_number(row_change(sequence=n)) for n in (1, 9, 10, 2**63 - 1)]
        assert numbers == sorted(numbers)
        assert all(21 <= len(number) <= 40 for number in numbers)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_marshalling_can_be_undone(self, value: Any) -> None:
        def undo(shown: dict[str, Any]) -> Any:
            ((kind, held),) = shown.items()
            if kind == "L":
                return [undo(item) for item in held]
            if kind == "M":
                return {name: undo(item) for name, item in held.items()}
            return {"NULL": lambda _: None, "N": Decimal}.get(kind, lambda same: same)(held)

        assert undo(dynamodb.marshal(value)) == value


class TestPubSub:
    def test_a_push_is_the_documented_body(self) -> None:
        event = pubsub.event(Push("projects/p/subscriptions/s", "2070", b"\x00hi", {"k": "v"}, AT))
        assert event == {
            "message": {
                "data": b64encode(b"\x00hi").decode(),
                "attributes": {"k": "v"},
                "messageId": "2070",
                "message_id": "2070",
                "publishTime": "2023-11-14T22:13:20.123Z",
                "publish_time": "2023-11-14T22:13:20.123Z",
            },
            "subscription": "projects/p/subscriptions/s",
        }


def request(**changes: Any) -> HttpRequest:
    fields: dict[str, Any] = {
        "method": "POST",
        "path": "/pets/rex",
        "route": "/pets/{id}",
        "path_parameters": {"id": "rex"},
        "query": [("tag", "a"), ("tag", "b c"), ("page", "1")],
        "headers": [
            ("host", "api.example.org:8400"),
            ("content-type", "application/json"),
            ("user-agent", "curl/8"),
            ("cookie", "a=1; b=2"),
        ],
        "body": b'{"name":"Rex"}',
        "source_ip": "203.0.113.9",
        "at": AT,
    }
    return HttpRequest(**(fields | changes))


class TestApiGatewayV2:
    def test_the_default_route_has_a_key_of_its_own(self) -> None:
        event = apigateway.event("v2", request(route="$default", path_parameters={}), SPEC, "req-1")
        assert event["routeKey"] == event["requestContext"]["routeKey"] == "$default"
        assert event["rawPath"] == "/pets/rex"
        assert "pathParameters" not in event

    def test_a_request_is_the_documented_event(self) -> None:
        assert apigateway.event("v2", request(), SPEC, "req-1") == {
            "version": "2.0",
            "routeKey": "POST /pets/{id}",
            "rawPath": "/pets/rex",
            "rawQueryString": "tag=a&tag=b+c&page=1",
            "cookies": ["a=1", "b=2"],
            "headers": {
                "host": "api.example.org:8400",
                "content-type": "application/json",
                "user-agent": "curl/8",
                "x-forwarded-for": "203.0.113.9",
                "x-forwarded-port": "8400",
                "x-forwarded-proto": "http",
            },
            "queryStringParameters": {"tag": "a,b c", "page": "1"},
            "pathParameters": {"id": "rex"},
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "pets",
                "domainName": "api.example.org:8400",
                "domainPrefix": "api",
                "http": {
                    "method": "POST",
                    "path": "/pets/rex",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "203.0.113.9",
                    "userAgent": "curl/8",
                },
                "requestId": "req-1",
                "routeKey": "POST /pets/{id}",
                "stage": "$default",
                "time": "14/Nov/2023:22:13:20 +0000",
                "timeEpoch": 1700000000123,
            },
            "body": '{"name":"Rex"}',
            "isBase64Encoded": False,
        }

    def test_what_is_empty_is_left_out(self) -> None:
        event = apigateway.v2(request(query=[], path_parameters={}, headers=[], body=b""), SPEC, "r")
        assert not {"cookies", "queryStringParameters", "pathParameters", "body"} & event.keys()
        assert event["rawQueryString"] == ""
        assert event["isBase64Encoded"] is False

    @pytest.mark.parametrize(
        ("content_type", "body", "is_base64"),
        [
            ("application/json; charset=utf-8", b"{}", False),
            ("text/csv", b"a,b", False),
            ("application/vnd.api+json", b"{}", False),
            ("image/png", b"\x89PNG", True),
            ("application/x-www-form-urlencoded", b"a=1", True),
            ("application/json", b"\xff", True),
        ],
    )
    def test_a_body_is_base64_unless_its_type_says_text(self, content_type: str, body: bytes, is_base64: bool) -> None:
        event = apigateway.v2(request(headers=[("content-type", content_type)], body=body), SPEC, "r")
        assert event["isBase64Encoded"] is is_base64
        assert (b64decode(event["body"]) if is_base64 else event["body"].encode()) == body

    def test_a_proxy_in_front_is_believed_about_the_protocol_and_named_before_us(self) -> None:
        sent = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https")]
        headers = apigateway.v2(request(headers=sent), SPEC, "r")["headers"]
        assert headers["x-forwarded-for"] == "198.51.100.1, 203.0.113.9"
        assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ("https", "443")


class TestApiGatewayV1:
    def test_a_request_is_the_documented_event(self) -> None:
        event = apigateway.event("v1", request(), SPEC, "req-1")
        headers = {
            "Host": "api.example.org:8400",
            "Content-Type": "application/json",
            "User-Agent": "curl/8",
            "Cookie": "a=1; b=2",
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Port": "8400",
            "X-Forwarded-Proto": "http",
        }
        context = event.pop("requestContext")
        assert event == {
            "resource": "/pets/{id}",
            "path": "/pets/rex",
            "httpMethod": "POST",
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": {"tag": "b c", "page": "1"},
            "multiValueQueryStringParameters": {"tag": ["a", "b c"], "page": ["1"]},
            "pathParameters": {"id": "rex"},
            "stageVariables": None,
            "body": '{"name":"Rex"}',
            "isBase64Encoded": False,
        }
        identity = context.pop("identity")
        assert (identity["sourceIp"], identity["userAgent"]) == ("203.0.113.9", "curl/8")
        assert identity["cognitoIdentityId"] is None
        assert context == {
            "accountId": "123456789012",
            "apiId": "pets",
            "domainName": "api.example.org:8400",
            "domainPrefix": "api",
            "extendedRequestId": "req-1",
            "httpMethod": "POST",
            "path": "/prod/pets/rex",
            "protocol": "HTTP/1.1",
            "requestId": "req-1",
            "requestTime": "14/Nov/2023:22:13:20 +0000",
            "requestTimeEpoch": 1700000000123,
            "resourceId": "pets/{id}",
            "resourcePath": "/pets/{id}",
            "stage": "prod",
        }

    def test_what_is_empty_is_null(self) -> None:
        event = apigateway.v1(request(query=[], path_parameters={}, body=b""), SPEC, "r")
        for name in ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "body"):
            assert event[name] is None

    def test_a_form_is_text_and_a_picture_base64(self) -> None:
        form = [("content-type", "application/x-www-form-urlencoded")]
        assert apigateway.v1(request(headers=form, body=b"a=1"), SPEC, "r")["body"] == "a=1"
        picture = apigateway.v1(request(body=b"\xff\xd8"), SPEC, "r")
        assert picture["isBase64Encoded"] is True
        assert b64decode(picture["body"]) == b"\xff\xd8"

    def test_repeated_headers_are_joined_and_cookies_kept_whole(self) -> None:
        sent = [("accept", "a"), ("accept", "b"), ("cookie", "a=1"), ("cookie", "b=2")]
        headers = apigateway.v1(request(headers=sent), SPEC, "r")["headers"]
        assert (headers["Accept"], headers["Cookie"]) == ("a,b", "a=1; b=2")


@given(
    payload=st.sampled_from(["v1", "v2"]),
    query=st.lists(st.tuples(st.text(), st.text())),
    headers=st.lists(st.tuples(st.text(min_size=1), st.text())),
    body=st.binary(),
)
def test_any_request_makes_an_event_that_json_holds(
    payload: str, query: list[tuple[str, str]], headers: list[tuple[str, str]], body: bytes
) -> None:
    event = apigateway.event(payload, request(query=query, headers=headers, body=body), SPEC, "r")
    assert json.loads(json.dumps(event)) == event
    found = event.get("body") or ""
    assert (b64decode(found) if event["isBase64Encoded"] else found.encode()) == body
