"""The mirror of S3: objects of the project's buckets, and of those made at run time, are objects of buckets of ours.

Of those moto holds names and metadata; bodies are in our bucket alone, and are read from there. What others put into
the bucket (a person, a function's `to: bucket:`) is taken in when somebody asks for its key or lists the bucket.

What a file cannot say about itself (content type, user metadata, tags, S3's ETag) is a row of `notes`, believed only
while the file is the one that was written with it.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from millrace.aws.endpoint.call import Call
from millrace.aws.moto.journal import Journal, recording
from millrace.aws.moto.stored import Changed, Note, ObjectWrite, StoredBody, is_of, place_of
from millrace.errors import StorageError
from millrace.store import Bucket, ObjectInfo, Table
from millrace.types import Row

_log = logging.getLogger("millrace.aws")
_PAGE = 1000

Run = Callable[..., Awaitable[Any]]  # calls a function in moto's thread
Wait = Callable[[Awaitable[Any]], Any]  # in moto's thread: the result of something in the event loop


class ObjectMirror:
    """Buckets in moto and in ours, at first the project's.

    `run` calls in moto's thread, `wait` waits there for the event loop.
    """

    def __init__(self, buckets: Mapping[str, Bucket], notes: Table, account: str, run: Run, wait: Wait) -> None:
        self._buckets = dict(buckets)
        self._notes = notes
        self._account = account
        self._run = run
        self._wait = wait
        self._seen: dict[tuple[str, str], str] = {}  # our bucket's tag of what moto shows

    async def load(self) -> None:
        """Make every object of the buckets known to moto, with what was noted of it."""
        notes = await self._all_notes()
        for name in list(self._buckets):
            infos = [info async for info in self._buckets[name].list()]
            await self._run(self._take_in, name, infos, notes)

    async def fill(self, name: str) -> None:
        """Make the objects of one bucket known to moto."""
        infos = [info async for info in self._buckets[name].list()]
        notes: dict[str, Note] = {}
        for info in infos:
            notes |= await self._noted(name, info.key)
        await self._run(self._take_in, name, infos, notes)

    def add(self, name: str, bucket: Bucket) -> None:
        """Mirror one more bucket."""
        self._buckets[name] = bucket

    def remove(self, name: str) -> None:
        """Mirror a bucket no more."""
        self._buckets.pop(name, None)

    async def refresh(self, call: Call) -> None:
        """Take in what others did to the objects that a call asks for."""
        bucket, key = place_of(call, self._buckets)
        if bucket and key:
            if call.method in ("GET", "HEAD") or "if-none-match" in call.headers or "if-match" in call.headers:
                await self._look(bucket, key)
        elif bucket and call.method == "GET":
            await self._list(bucket, call.query)
        elif bucket and call.method == "DELETE":  # files that were copied in keep a bucket from being deleted
            await self._list(bucket, "")
        source = unquote(call.headers.get("x-amz-copy-source", "").partition("?")[0]).lstrip("/")
        name, _, key = source.partition("/")
        if name in self._buckets:
            await self._look(name, key)

    async def again(self, changed: Changed) -> None:
        """Take in anew what is no longer as moto knows it."""
        await self._run(self._forget, changed.bucket, changed.key)
        await self._look(changed.bucket, changed.key)

    def refusal(self, call: Call) -> str:
        """Why an object of that key cannot be written here; empty where it can."""
        bucket, key = place_of(call, self._buckets)
        if not bucket or not key or call.method not in ("PUT", "POST") or _is_marker(key, call.body):
            return ""
        if any(part in ("", ".", "..") for part in key.split("/")):
            return f"key {key[:80]!r}: the bucket is a folder: expected parts that are neither empty, '.' nor '..'"
        if "\\" in key or any(ord(character) < 32 or ord(character) == 127 for character in key):
            return f"key {key[:80]!r}: the bucket is a folder: expected neither backslash nor control characters"
        return ""

    def note(self, journal: Journal, bucket: str, key: str) -> None:
        """An object is being written or removed."""
        if bucket in self._buckets:
            journal.objects[(bucket, key)] = None

    def keep_body(self, backend: Any, bucket: str, key: str) -> None:
        """Before a newer version takes its place in our bucket: the older one's bytes become moto's."""
        if bucket not in self._buckets or bucket not in backend.buckets:
            return
        found = backend.buckets[bucket].keys.get(key) if backend.buckets[bucket].is_versioned else None
        if found is not None and isinstance(getattr(found, "_value_buffer", None), StoredBody):
            keys = backend.buckets[bucket].keys
            try:
                body = found.value
            except Changed:  # somebody replaced the file by hand: the older bytes are nowhere
                keys.setlist(key, [version for version in keys.getlist(key) if version is not found])
                return
            found._value_buffer = tempfile.SpooledTemporaryFile(1_000_000)  # noqa: SIM115 - moto closes it
            found.value = body

    def collect(self, journal: Journal) -> list[ObjectWrite]:
        """The writes of a call, from what the objects are now; in moto's thread."""
        return [self._collected(bucket, key) for bucket, key in journal.objects]

    async def write(self, writes: Sequence[ObjectWrite]) -> None:
        """Make the writes durable: the bytes, then the note, which counts only beside them. Raises StorageError."""
        for write in writes:
            bucket = self._buckets[write.bucket]
            if write.body is None or write.note is None:
                if not write.key.endswith("/"):
                    await bucket.delete(write.key)
                    await self._notes.delete([f"{write.bucket}/{write.key}"])
            elif not _is_marker(write.key, write.body):
                await bucket.put(write.key, write.body)
                info = await bucket.head(write.key)
                tag = info.etag if info else ""
                note = msgspec.structs.replace(write.note, tag=tag, at=time.time())
                await self._notes.put([Row(self._notes.name, note.id, msgspec.json.encode(note))])
                self._seen[(write.bucket, write.key)] = tag

    def settle(self, writes: Sequence[ObjectWrite]) -> None:
        """Let go of the bytes that are in our bucket now; in moto's thread."""
        for write in writes:
            found = self._find(write.bucket, write.key)
            if write.body is not None and found is not None and not _is_marker(write.key, write.body):
                self._store(write.bucket, found, len(write.body))

    async def revert(self, journal: Journal) -> None:
        """Make moto forget what could not be kept, and see what is in our bucket instead."""
        for bucket, key in journal.objects:
            await self._run(self._forget, bucket, key)
            await self._look(bucket, key)

    def _collected(self, bucket: str, key: str) -> ObjectWrite:
        found = self._find(bucket, key)
        if found is None:
            return ObjectWrite(bucket, key)
        body = found.value
        note = Note(
            f"{bucket}/{key}",
            len(body),
            found.etag.strip('"'),
            metadata={name: str(value) for name, value in found.metadata.items()},
            tags=_backend(self._account).tagger.get_tag_dict_for_resource(found.arn),
            storage=found.storage_class or "STANDARD",
        )
        return ObjectWrite(bucket, key, body, note)

    async def _look(self, bucket: str, key: str) -> None:
        """Let moto know of one object what our bucket knows."""
        if key.endswith("/"):
            return
        try:
            info = await self._buckets[bucket].head(key)
        except StorageError:  # a key that our bucket cannot have
            return
        found = self._find(bucket, key)
        if info is None:
            if found is not None and _is_stored(found):
                await self._run(self._forget, bucket, key)
        elif found is None or self._differs(bucket, found, info):
            await self._run(self._take_in, bucket, [info], await self._noted(bucket, key))

    async def _list(self, bucket: str, query: str) -> None:
        """Compare a listing with what moto knows; not for its further pages."""
        asked = parse_qs(query, keep_blank_values=True)
        if not {name for name in asked if not name.startswith("X-Amz-")} <= _LISTING:
            return
        prefix = asked.get("prefix", [""])[0]
        try:
            infos = {info.key: info async for info in self._buckets[bucket].list(prefix)}
        except StorageError as error:
            _log.warning("bucket %r is listed as it was last seen: %s", bucket, error.problem)
            return
        fresh, gone = await self._run(self._compare, bucket, prefix, infos)
        for key in gone:
            await self._run(self._forget, bucket, key)
        notes: dict[str, Note] = {}
        for info in fresh:
            notes |= await self._noted(bucket, info.key)
        await self._run(self._take_in, bucket, fresh, notes)

    def _compare(self, bucket: str, prefix: str, infos: Mapping[str, ObjectInfo]) -> tuple[list[ObjectInfo], list[str]]:
        known = {key: found for key, found in _keys(self._account, bucket).items() if key.startswith(prefix)}
        fresh = [info for key, info in infos.items() if key not in known or self._differs(bucket, known[key], info)]
        gone = [key for key, found in known.items() if key not in infos and _is_stored(found)]
        return fresh, gone

    def _differs(self, bucket: str, found: Any, info: ObjectInfo) -> bool:
        return _is_stored(found) and self._seen.get((bucket, info.key)) != info.etag

    def _take_in(self, bucket: str, infos: Sequence[ObjectInfo], notes: Mapping[str, Note]) -> None:
        backend = _backend(self._account)
        with recording(Journal()):
            for info in infos:
                note = notes.get(f"{bucket}/{info.key}")
                note = note if note is not None and is_of(note, info) else None
                etag = note.etag if note else info.etag
                storage = note.storage if note else None
                found = backend.put_object(bucket, info.key, b"", storage, etag=etag, disable_notification=True)
                self._store(bucket, found, info.size)
                found.last_modified = datetime.fromtimestamp(info.modified_at, UTC).replace(tzinfo=None)
                if note is not None:
                    found.set_metadata(dict(note.metadata), replace=False)
                    if note.tags:
                        backend.put_object_tagging(found, note.tags)
                self._seen[(bucket, info.key)] = info.etag

    def _store(self, bucket: str, found: Any, size: int) -> None:
        """Let an object's bytes be read from our bucket."""
        found.etag  # noqa: B018 - moto computes it once, from the bytes that it still has
        found._value_buffer.close()
        found._value_buffer = StoredBody(lambda: self._body(bucket, found.name, size))
        found.contentsize = size
        found.multipart = None  # the parts would keep the bytes

    def _body(self, bucket: str, key: str, size: int) -> bytes:
        body: bytes | None = self._wait(self._buckets[bucket].get(key))
        if body is None or len(body) != size:
            raise Changed(bucket, key)
        return body

    def _find(self, bucket: str, key: str) -> Any:
        found = _keys(self._account, bucket).get(key)
        return found if hasattr(found, "contentsize") else None  # a delete marker has none

    def _forget(self, bucket: str, key: str) -> None:
        keys = _keys(self._account, bucket)
        if key in keys:
            keys.pop(key)

    async def _noted(self, bucket: str, key: str) -> dict[str, Note]:
        row = await self._notes.get(f"{bucket}/{key}")
        return {} if row is None else {f"{bucket}/{key}": msgspec.json.decode(row, type=Note)}

    async def _all_notes(self) -> dict[str, Note]:
        notes: dict[str, Note] = {}
        after: str | None = None
        while rows := await self._notes.scan(after=after, limit=_PAGE):
            notes |= {row.key: msgspec.json.decode(row.value, type=Note) for row in rows}
            after = rows[-1].key
        return notes


_LISTING = {"list-type", "prefix", "delimiter", "max-keys", "encoding-type", "fetch-owner", "versions", "start-after"}


def _backend(account: str) -> Any:
    from moto.s3.models import s3_backends

    return s3_backends[account]["aws"]


def _keys(account: str, bucket: str) -> Any:
    found = _backend(account).buckets.get(bucket)
    return {} if found is None else found.keys


def _is_stored(found: Any) -> bool:
    return isinstance(getattr(found, "_value_buffer", None), StoredBody)


def _is_marker(key: str, body: bytes) -> bool:
    """A folder as consoles make it, an empty object whose key ends in a slash: our buckets have no use for it."""
    return key.endswith("/") and not body
