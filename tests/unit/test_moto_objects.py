"""S3 through moto: what is written is a file before the answer goes out, and is there after a restart."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from needs import needs_module

needs_module("moto", "boto3", "flask")

from botocore.exceptions import ClientError  # noqa: E402
from moto_parts import ACCOUNT, REGION, House, ask  # noqa: E402

from millrace.aws.endpoint.call import Call  # noqa: E402
from millrace.aws.moto.stored import place_of  # noqa: E402
from millrace.config.schema import Project  # noqa: E402
from millrace.errors import StorageFull  # noqa: E402

PROJECT = {
    "service": "shop",
    "aws": {"account": ACCOUNT, "region": REGION},
    "queues": {"told": {}},
    "buckets": {"lake": {"url": "./lake"}, "far": {"url": "s3://elsewhere"}},
    "functions": {"seen": {"handler": "a.b", "asynchronous": {}}},
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = await House(Project.model_validate(PROJECT), tmp_path).start()
    yield found
    await found.stop()


async def again(house: House) -> House:
    """The same stores under new services, as after a restart."""
    await house.stop()
    house.open()
    return await house.start()


async def body(s3: Any, key: str, **named: Any) -> bytes:
    found = await ask(s3.get_object, Bucket="lake", Key=key, **named)
    return bytes(found["Body"].read())


async def keys(s3: Any, prefix: str = "") -> list[str]:
    found = await ask(s3.list_objects_v2, Bucket="lake", Prefix=prefix)
    return [each["Key"] for each in found.get("Contents", [])]


async def test_a_put_is_a_file_before_the_answer(house: House) -> None:
    s3 = house.client("s3")
    await ask(s3.put_object, Bucket="lake", Key="in/cät 1.txt", Body=b"meow")
    assert (house.root / "lake/in/cät 1.txt").read_bytes() == b"meow"
    assert await body(s3, "in/cät 1.txt") == b"meow"
    assert await body(s3, "in/cät 1.txt", Range="bytes=1-2") == b"eo"


async def test_copies_deletions_and_uploads_in_parts(house: House) -> None:
    s3 = house.client("s3")
    await ask(s3.put_object, Bucket="lake", Key="a", Body=b"1")
    await ask(s3.copy_object, Bucket="lake", Key="b", CopySource="lake/a")
    await ask(s3.put_object, Bucket="lake", Key="c", Body=b"3")
    await ask(s3.delete_object, Bucket="lake", Key="a")
    await ask(s3.delete_objects, Bucket="lake", Delete={"Objects": [{"Key": "c"}]})
    upload = (await ask(s3.create_multipart_upload, Bucket="lake", Key="big", ContentType="image/png"))["UploadId"]
    parts = []
    for number, data in ((1, b"x" * 5_242_880), (2, b"end")):
        sent = await ask(s3.upload_part, Bucket="lake", Key="big", UploadId=upload, PartNumber=number, Body=data)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    done = await ask(
        s3.complete_multipart_upload, Bucket="lake", Key="big", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert sorted(path.name for path in (house.root / "lake").iterdir()) == ["b", "big"]
    head = await ask(s3.head_object, Bucket="lake", Key="big")
    assert (head["ContentLength"], head["ContentType"], head["ETag"]) == (5_242_883, "image/png", done["ETag"])
    assert (await body(s3, "big"))[-4:] == b"xend"


async def test_streamed_uploads_and_downloads(house: House) -> None:
    s3 = house.client("s3")
    await ask(s3.upload_fileobj, Fileobj=io.BytesIO(b"streamed" * 1000), Bucket="lake", Key="f")
    assert (house.root / "lake/f").read_bytes() == b"streamed" * 1000


async def test_objects_and_what_was_said_of_them_survive(house: House) -> None:
    s3 = house.client("s3")
    put = await ask(
        s3.put_object,
        Bucket="lake",
        Key="in/a.json",
        Body=b"{}",
        ContentType="application/json",
        Metadata={"who": "me", "snake_case": "kept"},
        Tagging="colour=red",
    )
    await again(house)
    s3 = house.client("s3")
    found = await ask(s3.get_object, Bucket="lake", Key="in/a.json")
    assert found["Body"].read() == b"{}"
    assert (found["ContentType"], found["ETag"]) == ("application/json", put["ETag"])
    assert found["Metadata"] == {"who": "me", "snake_case": "kept"}
    tags = await ask(s3.get_object_tagging, Bucket="lake", Key="in/a.json")
    assert tags["TagSet"] == [{"Key": "colour", "Value": "red"}]


async def test_files_that_were_there_before(house: House) -> None:
    (house.root / "lake/old").mkdir()
    (house.root / "lake/old/one.txt").write_bytes(b"one")
    s3 = house.client("s3")
    assert await keys(s3) == ["old/one.txt"]
    assert await body(s3, "old/one.txt") == b"one"


async def test_files_that_come_change_and_go_meanwhile(house: House) -> None:
    s3 = house.client("s3")
    assert await keys(s3) == []
    file = house.root / "lake/new.txt"
    file.write_bytes(b"one")
    assert await body(s3, "new.txt") == b"one"
    file.write_bytes(b"longer")
    assert (await ask(s3.head_object, Bucket="lake", Key="new.txt"))["ContentLength"] == 6
    file.write_bytes(b"still longer")
    await ask(s3.download_file, Bucket="lake", Key="new.txt", Filename=str(house.root / "copy"))
    assert (house.root / "copy").read_bytes() == b"still longer"
    assert await keys(s3) == ["new.txt"]
    file.unlink()
    with pytest.raises(ClientError, match="NoSuchKey"):
        await body(s3, "new.txt")
    (house.root / "lake/other.txt").write_bytes(b"")
    assert await keys(s3) == ["other.txt"]
    (house.root / "lake/other.txt").unlink()
    assert await keys(s3) == []


async def test_older_versions_keep_their_bytes(house: House) -> None:
    s3 = house.client("s3")
    await ask(s3.put_bucket_versioning, Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    first = await ask(s3.put_object, Bucket="lake", Key="v", Body=b"one")
    await ask(s3.put_object, Bucket="lake", Key="v", Body=b"two")
    assert await body(s3, "v") == b"two"
    assert await body(s3, "v", VersionId=first["VersionId"]) == b"one"
    await ask(s3.delete_object, Bucket="lake", Key="v")
    assert not (house.root / "lake/v").exists()
    assert await body(s3, "v", VersionId=first["VersionId"]) == b"one"
    (house.root / "lake/v").write_bytes(b"by hand")
    assert await body(s3, "v") == b"by hand"
    (house.root / "lake/v").write_bytes(b"again by hand")
    assert await body(s3, "v") == b"again by hand"
    await ask(s3.put_object, Bucket="lake", Key="v", Body=b"three")
    assert await body(s3, "v") == b"three"


@pytest.mark.parametrize("key", ["a//b", "../x", "a\\b", "dir/"])
async def test_keys_that_a_folder_cannot_have_are_refused(house: House, key: str) -> None:
    s3 = house.client("s3")
    with pytest.raises(ClientError, match="InvalidRequest"):
        await ask(s3.put_object, Bucket="lake", Key=key, Body=b"x")


@pytest.mark.parametrize(
    ("host", "path", "place"),
    [
        ("127.0.0.1:8401", "/lake/a/b", ("lake", "a/b")),
        ("lake.localhost:8401", "/a/b", ("lake", "a/b")),
        ("lake.eu.localhost:8401", "/a", ("lake.eu", "a")),
        ("lake.localhost:8401", "/lake.eu/a", ("lake", "lake.eu/a")),
        ("localhost:8401", "/other/a", ("", "")),
    ],
)
def test_the_bucket_is_in_the_path_or_the_host(host: str, path: str, place: tuple[str, str]) -> None:
    assert place_of(Call("GET", path, headers={"host": host}), {"lake": 1, "lake.eu": 2}) == place


@pytest.mark.parametrize("key", ["..%2F..%2Fx", "%2E%2E/x", "a/%2e%2e/%2e%2e/x"])
async def test_no_key_leads_out_of_the_folder(house: House, key: str) -> None:
    for method in ("PUT", "GET", "DELETE"):
        headers = {"host": "127.0.0.1:8401"}
        await house.services.handle(Call(method, f"/lake/{key}", headers=headers, body=b"x", account=ACCOUNT))
    form = b"--b\r\nContent-Disposition: form-data; name=key\r\n\r\n../../x\r\n"
    form += b"--b\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\nx\r\n--b--\r\n"
    headers = {"host": "127.0.0.1:8401", "content-type": "multipart/form-data; boundary=b"}
    await house.services.handle(Call("POST", "/lake", headers=headers, body=form, account=ACCOUNT))
    assert not [*house.root.rglob("x"), *house.root.parent.glob("x"), *house.root.parent.parent.glob("x")]


async def test_a_folder_as_consoles_make_it(house: House) -> None:
    s3 = house.client("s3")
    await ask(s3.put_object, Bucket="lake", Key="dir/", Body=b"")
    await ask(s3.put_object, Bucket="lake", Key="dir/a", Body=b"x")
    assert await keys(s3) == ["dir/", "dir/a"]
    await ask(s3.delete_object, Bucket="lake", Key="dir/")


async def test_what_the_disk_refuses_was_not_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = house.client("s3")
    await ask(s3.put_object, Bucket="lake", Key="a", Body=b"old")

    async def full(key: str, body: bytes) -> None:
        raise StorageFull("no space left")

    monkeypatch.setattr(house.buckets["lake"], "put", full)
    with pytest.raises(ClientError, match="no space left"):
        await ask(s3.put_object, Bucket="lake", Key="a", Body=b"new")
    with pytest.raises(ClientError, match="no space left"):
        await ask(s3.put_object, Bucket="lake", Key="b", Body=b"new")
    assert await keys(s3) == ["a"]
    assert await body(s3, "a") == b"old"


async def test_buckets_elsewhere_are_not_made_here(house: House) -> None:
    s3 = house.client("s3")
    found = await ask(s3.list_buckets)
    assert [each["Name"] for each in found["Buckets"]] == ["lake"]
    await ask(s3.create_bucket, Bucket="far", CreateBucketConfiguration={"LocationConstraint": REGION})
    await ask(s3.put_object, Bucket="far", Key="x", Body=b"x")
    assert not (house.root / "made").exists()


async def test_notifications_set_at_run_time_reach_the_queue_and_the_function(house: House) -> None:
    s3 = house.client("s3")
    await ask(
        s3.put_bucket_notification_configuration,
        Bucket="lake",
        NotificationConfiguration={
            "QueueConfigurations": [
                {"QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:told", "Events": ["s3:ObjectCreated:*"]}
            ],
            "LambdaFunctionConfigurations": [
                {
                    "LambdaFunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:seen",
                    "Events": ["s3:ObjectCreated:*"],
                }
            ],
        },
    )
    await ask(s3.put_object, Bucket="lake", Key="a", Body=b"x")
    test, told = await house.messages("told")
    assert test.json()["Event"] == "s3:TestEvent"
    assert told.json()["Records"][0]["s3"]["object"]["key"] == "a"
    (called,) = await house.messages("seen.async")
    assert called.attributes["millrace-event"] == "raw"
    assert called.json()["Records"][0]["eventName"] == "ObjectCreated:Put"
