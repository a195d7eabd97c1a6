"""What every Bucket must do. `check_bucket` runs all of it; CHECKS lets a test runner name each part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from millrace.errors import StorageError
from millrace.store import Bucket

FreshBucket = Callable[[], AbstractAsyncContextManager[Bucket]]

BAD_KEYS = (
    "",
    "/",
    "/etc/passwd",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "a//b",
    "a/",
    "./a",
    "a\x00b",
    "a\nb",
    "a\\..\\b",
    "a\ud800",
)


async def check_bucket(fresh: FreshBucket) -> None:
    """Hold a bucket to the port's contract; `fresh` opens an empty one each time.

    Raises AssertionError that says what was expected.
    """
    for check in CHECKS:
        async with fresh() as bucket:
            await check(bucket)


async def _keys(bucket: Bucket, prefix: str = "") -> list[str]:
    return sorted([info.key async for info in bucket.list(prefix)])


async def _etag(bucket: Bucket, key: str) -> str:
    return next(iter([info.etag async for info in bucket.list(key) if info.key == key]))


async def starts_empty(bucket: Bucket) -> None:
    """Nothing is found in a bucket that nothing was put into."""
    assert await bucket.get("a/b") is None, "expected no object in an empty bucket"
    assert await _keys(bucket) == [], "expected an empty listing"
    assert await _keys(bucket, "a/") == [], "expected an empty listing of a folder that is not there"
    assert await bucket.head("a/b") is None, "expected to hear of no object in an empty bucket"
    await bucket.delete("a/b")


async def put_is_read_back(bucket: Bucket) -> None:
    """Any bytes under any decent key, whole; the last put wins."""
    bodies = {"a": b"", "b/c/d.bin": bytes(range(256)) * 5000, "Ünïcode ключ/🐈 #%20?.txt": b"x"}
    for key, body in bodies.items():
        await bucket.put(key, body)
    for key, body in bodies.items():
        assert await bucket.get(key) == body, f"expected the object {key!r} as it was put"
    (listed,) = [info async for info in bucket.list("b/") if info.key == "b/c/d.bin"]
    assert await bucket.head("b/c/d.bin") == listed, "expected to hear of an object what a listing says"
    assert await bucket.head("b/c") is None, "expected to hear nothing of a folder"
    await bucket.put("a", b"again")
    assert await bucket.get("a") == b"again", "expected the object to be replaced"
    assert await _keys(bucket) == sorted(bodies), "expected every key once"


async def delete_is_idempotent(bucket: Bucket) -> None:
    """What is deleted is gone, and deleting it again is no error."""
    await bucket.put("a/b", b"1")
    await bucket.delete("a/b")
    await bucket.delete("a/b")
    assert await bucket.get("a/b") is None, "expected the object to be gone"
    assert await _keys(bucket) == [], "expected an empty listing"


async def list_takes_any_prefix(bucket: Bucket) -> None:
    """A prefix is the beginning of a key, not only a folder."""
    for key in ("in/cat.jpg", "in/cow.jpg", "in/deep/cat.jpg", "inner", "out"):
        await bucket.put(key, b"x")
    assert await _keys(bucket, "in/c") == ["in/cat.jpg", "in/cow.jpg"], "expected keys that begin with in/c"
    assert await _keys(bucket, "in") == ["in/cat.jpg", "in/cow.jpg", "in/deep/cat.jpg", "inner"], "expected in…"
    assert await _keys(bucket, "in/") == ["in/cat.jpg", "in/cow.jpg", "in/deep/cat.jpg"], "expected in/…"


async def list_tells_size_and_version(bucket: Bucket) -> None:
    """Size in bytes, a time, and an entity tag that changes with the content."""
    await bucket.put("a", b"12345")
    (info,) = [info async for info in bucket.list()]
    assert info.size == 5, f"expected 5 bytes, got {info.size}"
    assert info.modified_at > 1_000_000_000, "expected Unix seconds"
    await bucket.put("a", b"123456")
    assert await _etag(bucket, "a") != info.etag, "expected another etag after the content changed"


async def bad_keys_are_refused(bucket: Bucket) -> None:
    """Keys that could leave the bucket, or that not every store can hold, get a StorageError in every verb."""
    for key in (*BAD_KEYS, "x" * 1025):
        for verb in (bucket.put(key, b"x"), bucket.get(key), bucket.delete(key)):
            try:
                await verb
            except StorageError:
                continue
            raise AssertionError(f"expected StorageError for the key {key[:40]!r}")
    assert await _keys(bucket) == [], "expected that nothing was stored"


async def readers_see_old_or_new(bucket: Bucket) -> None:
    """While objects are replaced, a reader never sees a part."""
    bodies = [bytes([number]) * 200_000 for number in range(8)]
    await bucket.put("a", bodies[0])

    async def read() -> None:
        for _ in range(20):
            assert await bucket.get("a") in bodies, "expected a whole object"

    async def write() -> None:
        for body in bodies:
            await bucket.put("a", body)

    await asyncio.gather(read(), write(), read())


CHECKS = (
    starts_empty,
    put_is_read_back,
    delete_is_idempotent,
    list_takes_any_prefix,
    list_tells_size_and_version,
    bad_keys_are_refused,
    readers_see_old_or_new,
)
