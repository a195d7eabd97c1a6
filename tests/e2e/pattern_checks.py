"""What the projects of examples/ do, seen from outside: one description of each, whatever form or broker it runs in."""

from __future__ import annotations

import base64
import csv
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import httpx
from pattern_parts import Site, bodies

SERVERLESS, SAM, ZAPPA, OWN = "serverless.yml", "template.yaml", "zappa_settings.json", "millrace.yml"
_API_KEY = {"x-api-key": "for-local-use-only-0123456789"}
_IMAGES = 20


class Pattern(NamedTuple):
    """An example: what holds of it when it runs, its first project file, and the fixtures that its check takes too."""

    check: Callable[..., None]
    form: str = SERVERLESS
    given: tuple[str, ...] = ()


def hello(site: Site) -> None:
    answer = site.client("lambda").invoke(
        FunctionName="helloworld-dev-main", Payload=b'{"name": "rex"}', LogType="Tail"
    )
    assert (answer["StatusCode"], json.load(answer["Payload"])) == (200, "Hello world")
    assert "Log event {'name': 'rex'}" in base64.b64decode(answer["LogResult"]).decode()


def queue_to_queue(site: Site) -> None:
    sent = [f"Hello world{number}" for number in range(10)]
    site.send("ReadSQS", *sent)
    assert sorted(message["Body"] for message in site.receive("WriteSQS", 10)) == sent


def image_labels(site: Site, digits: Path, images_url: str) -> None:
    site.client("s3").upload_file(str(digits / "digits.onnx"), "serverlessdeeplearning", "digits/digits.onnx")
    images = sorted((digits / "held-out").iterdir())[:5]
    site.send("DLReadSQS", *(f"'{images_url}/{image.name}'" for image in images))
    labels = sorted(message["Body"] for message in site.receive("DLWriteSQS", 5))
    assert labels == sorted(label(digits / "digits.onnx", image) for image in images)


def timer_to_csv(site: Site) -> None:
    written = watch_bucket(site, "fangsentiment")
    fang = site.table("fang")
    for name in ("netflix", "google"):
        fang.put_item(Item={"name": name, "snippet": f"{name} is a company."})
    site.client("lambda").invoke(FunctionName="fang-dev-producer", InvocationType="Event", Payload=timer_event())
    told = [record["s3"]["object"]["key"] for body in bodies(site.receive(written, 2)) for record in body["Records"]]
    assert sorted(told) == ["google_sentiment.csv", "netflix_sentiment.csv"]
    text = site.client("s3").get_object(Bucket="fangsentiment", Key="google_sentiment.csv")["Body"].read().decode()
    assert list(csv.DictReader(StringIO(text))) == [
        {"names": "google", "snippet": "google is a company.", "Sentiment": "NEUTRAL"}
    ]
    site.until(partial(is_empty, site, "producer"))


def api_key(site: Site) -> None:
    assert site.http.get("/health").json() == {"ok": True}
    refused = [site.http.get("/labels/1", headers=headers) for headers in ({}, {"x-api-key": "wrong"})]
    assert [(answer.status_code, answer.json()) for answer in refused] == [(403, {"message": "Forbidden"})] * 2
    known = site.http.get("/labels/1", headers=_API_KEY)
    assert (known.status_code, known.json()) == (200, {"digit": "1", "label": "one", "stage": "dev"})
    assert site.http.get("/labels/7", headers=_API_KEY).status_code == 404


def partial_failures(site: Site) -> None:
    orders = [{"id": f"order-{number}", "quantity": number % 3} for number in range(9)]
    site.send("orders-dev-orders", *map(json.dumps, orders), "no order at all")
    shipped = bodies(site.receive("orders-dev-shipped", 6))
    assert shipped == [{"shipped": order["id"]} for order in orders if order["quantity"]]
    dead = site.receive("orders-dev-orders-dlq", 4)
    bad = ["no order at all", *(json.dumps(order) for order in orders if not order["quantity"])]
    assert sorted(message["Body"] for message in dead) == sorted(bad)
    tries = [line for line in site.running.output.splitlines() if ", try " in line]
    assert [sum(f", try {number}: " in line for line in tries) for number in (1, 2, 3)] == [4, 4, 0]
    left = site.sqs.receive_message(QueueUrl=site.queue_url("orders-dev-shipped")).get("Messages", [])
    assert left == [], "the good orders of a batch were shipped once"


def stream_aggregate(site: Site) -> None:
    messages = site.table("dev_user_messages")
    for number, (sender, credits) in enumerate([("ann", 3), ("bob", 1), ("ann", 4), ("ann", -2)]):
        messages.put_item(Item={"msg_id": f"m{number}", "sender_id": sender, "credits": credits})
    balances = {
        sender: site.until(partial(known_credits, site, sender, of)) for sender, of in {"ann": 3, "bob": 1}.items()
    }
    assert balances == {
        "ann": {"sender_id": "ann", "balance": 5, "transactions": 3, "last_msg_id": "m3"},
        "bob": {"sender_id": "bob", "balance": 1, "transactions": 1, "last_msg_id": "m1"},
    }
    assert site.http.get("/credits").status_code == 400


def zappa_sales_filter(site: Site) -> None:
    site.client("dynamodb").create_table(
        TableName="sales-verdicts",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "msg_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "msg_id", "KeyType": "HASH"}],
    )
    texts = {"m1": "A quick call about our pricing?", "m2": "Lunch on Friday?"}
    for msg_id, text in [*texts.items(), ("m1", texts["m1"])]:
        taken = site.http.post("/messages", json={"msg_id": msg_id, "text": text})
        assert (taken.status_code, taken.json()) == (202, {"queued": msg_id})
    first = site.until(partial(verdict, site, "m1", deliveries=2))
    second = site.until(partial(verdict, site, "m2", deliveries=1))
    assert first == {"msg_id": "m1", "label": "sales", "deliveries": 2, "env": "dev"}
    assert second == {"msg_id": "m2", "label": "other", "deliveries": 1, "env": "dev"}


def read_digits(site: Site, digits: Path) -> None:
    images = sorted((digits / "held-out").iterdir())[:_IMAGES]
    read = []
    for image in images:
        answer = site.http.post("/digits", files={"file": image.read_bytes()}, headers={"prefer": "wait=30"})
        assert answer.status_code == 200, answer.text
        read.append(answer.json())
    nothing = site.http.post("/digits", content=b"no image", headers={"prefer": "wait=30"})
    assert nothing.json()["type"] == "urn:millrace:problem:function-failed"
    assert [str(record["value"]["digit"]) for record in read] == [
        label(digits / "digits.onnx", each) for each in images
    ]
    rows = {row["id"]: row["digit"] for row in json.loads(site.ask("table", "export", "predictions"))}
    assert rows == {record["id"]: record["value"]["digit"] for record in read}


PATTERNS = {
    "api-key": Pattern(api_key),
    "digits": Pattern(read_digits, OWN, ("digits",)),
    "hello": Pattern(hello),
    "image-labels": Pattern(image_labels, given=("digits", "images_url")),
    "partial-failures": Pattern(partial_failures),
    "queue-to-queue": Pattern(queue_to_queue),
    "stream-aggregate": Pattern(stream_aggregate),
    "timer-to-csv": Pattern(timer_to_csv),
    "zappa-sales-filter": Pattern(zappa_sales_filter, ZAPPA),
}


def label(model: Path, image: Path) -> str:
    """What the model reads from an image, asked without a queue."""
    import numpy as np
    import onnxruntime
    from PIL import Image

    pixels = np.asarray(Image.open(image), dtype=np.float32).reshape(1, 64) / 255
    return str(onnxruntime.InferenceSession(model).run(None, {"pixels": pixels})[0][0])


def known_credits(site: Site, sender: str, transactions: int) -> dict[str, object] | None:
    """What the API says of a sender, once it counts that many transactions."""
    answer = site.http.get("/credits", params={"sender_id": sender})
    known = answer.json() if answer.status_code == httpx.codes.OK else {}
    return known if known.get("transactions") == transactions else None


def verdict(site: Site, msg_id: str, *, deliveries: int) -> dict[str, object] | None:
    """What the application says of a message, once it has been judged and delivered that often."""
    answer = site.http.get(f"/messages/{msg_id}")
    known = answer.json() if answer.status_code == httpx.codes.OK else {}
    done = known.get("deliveries") == deliveries and known["label"] != "reading"
    return known if done else None


def is_empty(site: Site, queue: str) -> bool:
    """Whether nothing waits in a queue and nobody works on what was in it; brokers may know that a moment later."""
    found = site.sqs.get_queue_attributes(QueueUrl=site.queue_url(queue), AttributeNames=["All"])["Attributes"]
    return found["ApproximateNumberOfMessages"] == found["ApproximateNumberOfMessagesNotVisible"] == "0"


def watch_bucket(site: Site, bucket: str) -> str:
    """A queue, made from outside, that the bucket tells of each object; its name."""
    url = site.sqs.create_queue(QueueName="written")["QueueUrl"]
    arn = site.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    site.client("s3").put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]},
    )
    (test,) = bodies(site.receive("written", 1))
    assert test["Event"] == "s3:TestEvent"
    return "written"


def timer_event() -> bytes:
    """What EventBridge sends when a schedule's time has come."""
    command = [sys.executable, "-m", "millrace", "event", "schedule"]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
