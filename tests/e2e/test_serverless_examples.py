"""The projects of examples/serverless, end to end and from outside: each form of a project gives the same results.

A form is the project file that is read: serverless.yml, template.yaml, Zappa's settings, or what `millrace convert`
makes of one of them.
"""

from __future__ import annotations

import base64
import csv
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from io import StringIO
from pathlib import Path

import httpx
import pytest
from needs import needs_module
from pattern_parts import EXAMPLES, Site, bodies, copy, start

from millrace.config.schema import Project
from millrace.formats.load import examine, load

SERVERLESS, SAM, ZAPPA = "serverless.yml", "template.yaml", "zappa_settings.json"
CONVERTED, CONVERTED_SAM, CONVERTED_ZAPPA = (f"{source} -> millrace.yml" for source in (SERVERLESS, SAM, ZAPPA))

pytestmark = pytest.mark.timeout(120)


def runs(name: str, *forms: str) -> pytest.MarkDecorator:
    """One run of a test for each form of a project of examples/serverless."""
    return pytest.mark.parametrize("site", [(name, form) for form in forms], ids=forms, indirect=True)


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The project, running in one form."""
    name, form = request.param
    needs_module(
        "moto", *(["samtranslator"] if SAM in form else []), *(["flask", "apig_wsgi"] if ZAPPA in form else [])
    )
    site = start(name, form, tmp_path)
    try:
        yield site
    finally:
        site.close()


@runs("hello", SERVERLESS, SAM, CONVERTED)
def test_hello(site: Site) -> None:
    answer = site.client("lambda").invoke(
        FunctionName="helloworld-dev-main", Payload=b'{"name": "rex"}', LogType="Tail"
    )
    assert (answer["StatusCode"], json.load(answer["Payload"])) == (200, "Hello world")
    assert "Log event {'name': 'rex'}" in base64.b64decode(answer["LogResult"]).decode()


@runs("queue-to-queue", SERVERLESS, SAM, CONVERTED, CONVERTED_SAM)
def test_queue_to_queue(site: Site) -> None:
    sent = [f"Hello world{number}" for number in range(10)]
    site.send("ReadSQS", *sent)
    assert sorted(message["Body"] for message in site.receive("WriteSQS", 10)) == sent


@runs("image-labels", SERVERLESS, SAM)
def test_image_labels(site: Site, digits: Path, images_url: str) -> None:
    site.client("s3").upload_file(str(digits / "digits.onnx"), "serverlessdeeplearning", "digits/digits.onnx")
    images = sorted((digits / "held-out").iterdir())[:5]
    site.send("DLReadSQS", *(f"'{images_url}/{image.name}'" for image in images))
    labels = sorted(message["Body"] for message in site.receive("DLWriteSQS", 5))
    assert labels == sorted(label(digits / "digits.onnx", image) for image in images)


@runs("timer-to-csv", SERVERLESS, SAM, CONVERTED)
def test_timer_to_csv(site: Site) -> None:
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
    queue = site.sqs.get_queue_attributes(QueueUrl=site.queue_url("producer"), AttributeNames=["All"])["Attributes"]
    assert queue["ApproximateNumberOfMessages"] == "0"


@runs("api-key", SERVERLESS, SAM, CONVERTED_SAM)
def test_api_key(site: Site) -> None:
    assert site.http.get("/health").json() == {"ok": True}
    refused = [site.http.get("/labels/1", headers=headers) for headers in ({}, {"x-api-key": "wrong"})]
    assert [(answer.status_code, answer.json()) for answer in refused] == [(403, {"message": "Forbidden"})] * 2
    key = {"x-api-key": "for-local-use-only-0123456789"}
    known = site.http.get("/labels/1", headers=key)
    assert (known.status_code, known.json()) == (200, {"digit": "1", "label": "one", "stage": "dev"})
    assert site.http.get("/labels/7", headers=key).status_code == 404


@runs("partial-failures", SERVERLESS, SAM, CONVERTED)
def test_partial_failures(site: Site) -> None:
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


@runs("stream-aggregate", SERVERLESS, SAM, CONVERTED)
def test_stream_aggregate(site: Site) -> None:
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


@runs("zappa-sales-filter", ZAPPA, CONVERTED_ZAPPA)
def test_zappa_sales_filter(site: Site) -> None:
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


SAYS = {"api-key/serverless.yml": "nothing is throttled or counted", "api-key/template.yaml": "nothing is throttled"}


@pytest.mark.parametrize(
    "file", sorted(EXAMPLES.glob("serverless/*/*.y*ml")), ids=lambda file: "/".join(file.parts[-2:])
)
def test_there_is_little_to_say_of_these_projects(file: Path) -> None:
    if file.name == SAM:
        needs_module("samtranslator")
    found = examine(file)
    assert found.faults == []
    assert [fault.what.rpartition(": ")[2] for fault in found.warnings] == [
        said for name, said in SAYS.items() if name == "/".join(file.parts[-2:])
    ]
    assert found.keys - found.understood == len(found.warnings)


@pytest.mark.parametrize(
    "template", sorted(EXAMPLES.glob("serverless/*/template.yaml")), ids=lambda file: file.parent.name
)
def test_both_files_of_a_project_mean_the_same(template: Path) -> None:
    needs_module("samtranslator")
    one, other = load(template.with_name(SERVERLESS)), load(template)
    for section in ("queues", "tables", "buckets", "topics", "gateway"):
        assert getattr(one, section) == getattr(other, section), section
    assert meanings(one) == meanings(other)


def meanings(project: Project) -> dict[str, tuple[object, ...]]:
    """By their names on AWS, what functions do; how much time and memory they get by default differs between tools."""
    return {
        function.name: (
            function.handler,
            function.events,
            function.asynchronous,
            {**project.environment, **function.environment},
        )
        for function in project.functions.values()
    }


@pytest.mark.parametrize("form", [SERVERLESS, SAM])
def test_access_denied_is_told_before_the_deploy(form: str, tmp_path: Path) -> None:
    if form == SAM:
        needs_module("samtranslator")
    folder = copy("queue-to-queue", form, tmp_path / "source")
    text = (folder / form).read_text()
    (folder / form).write_text("\n".join(line for line in text.splitlines() if "sqs:SendMessage" not in line))
    (warning,) = examine(folder).warnings
    assert (Path(warning.place.source).name, warning.place.line) == ("index.py", 10)
    assert warning.what.endswith("would be refused with AccessDenied: its code calls sqs:SendMessage")


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


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with digits.onnx and held-out/, as examples/digits/train.py makes them."""
    needs_module("onnxruntime", "sklearn", "skl2onnx", "PIL")
    folder = tmp_path_factory.mktemp("digits")
    for name in ("app.py", "train.py"):
        (folder / name).write_bytes((EXAMPLES / "digits" / name).read_bytes())
    subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, timeout=100, check=True)
    return folder


@pytest.fixture
def images_url(digits: Path) -> Iterator[str]:
    """Where the held-out images are served, on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=digits / "held-out")) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
