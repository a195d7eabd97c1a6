"""Every AWS service but SQS: moto's server application, asked in one thread of its own.

handle → load moto if need be → read in what others changed → moto answers → make durable what it changed → reply

moto is not made for threads, so it has one. Calls of one service go one after the other from the first to the last
step: what a call reads is what the one before it made durable.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

from millrace.aws.endpoint.call import Call, Reply
from millrace.aws.endpoint.faults import fault
from millrace.aws.endpoint.routing import FORM, service_of, service_of_form
from millrace.aws.moto import wsgi
from millrace.aws.moto.items import ItemMirror, TableWrite
from millrace.aws.moto.journal import Journal, recording
from millrace.aws.moto.made import Kind, Made, Places, Step
from millrace.aws.moto.made_buckets import MadeBuckets
from millrace.aws.moto.made_tables import MadeTables
from millrace.aws.moto.objects import ObjectMirror
from millrace.aws.moto.reach import SURVIVES
from millrace.aws.moto.resources import Resources
from millrace.aws.moto.stored import Changed, ObjectWrite
from millrace.aws.receivers import Receivers
from millrace.config.schema import Project
from millrace.errors import MillraceError, QueueFull, UnknownQueue
from millrace.store import Bucket, Table
from millrace.types import Accepted, Put

_log = logging.getLogger("millrace.aws")
_T = TypeVar("_T")
_INSIDE = ("/moto-api", "/latest/")  # moto's own control, and the metadata of machines that are not there
_STRAY_S = 60.0  # longest that a thread of moto's own waits for the disk
_HINT = "Install the extra: pip install 'millrace[aws]'"

PutAll = Callable[[Sequence[Put]], Awaitable[list[Accepted]]]


class Changes(NamedTuple):
    """What one call did: noted, and as it is to be kept."""

    journal: Journal
    rows: list[TableWrite]
    objects: list[ObjectWrite]
    made: list[Step]


class Services:
    """moto, mounted: `tables` and `buckets` are the project's own of the same names, `notes` a durable table for S3.

    What is made at run time is defined in `made`, a durable table too, and its content is in `places`. `put` puts into
    the project's durable queues. Nothing is imported before the first call, or `load`. moto's state is the process's:
    of several `Services` the last one loaded has it.
    """

    survives = SURVIVES

    def __init__(
        self,
        project: Project,
        *,
        tables: Mapping[str, Table],
        buckets: Mapping[str, Bucket],
        notes: Table,
        made: Table,
        places: Places,
        put: PutAll,
    ) -> None:
        if project.aws is None:
            raise ValueError("a project without aws: has no services")
        self.receivers = Receivers(project)
        self.warnings: list[str] = []
        self._put = put
        self._aws = project.aws
        local = {name: bucket for name, bucket in buckets.items() if is_local(project, name)}
        self._items = ItemMirror(
            {name: tables[name] for name in project.tables}, project.aws.account, project.aws.region, self._run
        )
        self._objects = ObjectMirror(local, notes, project.aws.account, self._run, self._wait)
        kinds: dict[str, Kind] = {
            "dynamodb": MadeTables(project.aws.account, self._items, places),
            "s3": MadeBuckets(project.aws.account, buckets.keys() - local.keys(), self._objects, places),
        }
        self._made = Made(made, kinds, self._run)
        self._resources = Resources(project, self.receivers, list(local))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="moto")
        self._loading: asyncio.Task[None] | None = None
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._running: set[asyncio.Task[Reply]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._application: Any = None

    @staticmethod
    def installed() -> bool:
        """Whether the extra is there."""
        return all(find_spec(name) is not None for name in ("moto", "flask", "flask_cors"))

    async def load(self) -> None:
        """Import moto, make the project's resources, put back what was kept; once, for seconds. Raises StorageError."""
        if self._loading is None or (self._loading.done() and self._failed(self._loading)):
            self._loading = asyncio.ensure_future(self._load())
        await asyncio.shield(self._loading)

    async def handle(self, call: Call) -> Reply:
        """moto's answer, once everything that the call changed is durable. Errors of ours are errors of AWS's kind."""
        service = service_of(call.method, call.path, call.query, call.headers)
        if service == FORM:
            service = service_of_form(call.body)
        if not self.installed():
            return fault(service, call.headers, "NotImplemented", f"{service} is not here. {_HINT}")
        # Decoded, as moto decodes it before it looks.
        if unquote(call.path).startswith(_INSIDE) or service == "sqs":
            return fault(service, call.headers, "UnknownService", f"{service} is not answered at {call.path[:200]}")
        try:
            await self.load()
            # Shielded: a caller who goes away must not leave moto with what no disk has.
            running = asyncio.ensure_future(self._in_turn(service, call))
            self._running.add(running)
            running.add_done_callback(self._running.discard)
            return await asyncio.shield(running)
        except MillraceError as error:
            _log.error("%s: %s", service, error.problem)
            reason = "ServiceUnavailable" if isinstance(error, QueueFull) else "InternalFailure"
            return fault(service, call.headers, reason, error.problem)

    async def close(self) -> None:
        """Let moto finish what it answers, and its thread end."""
        if self._running:
            await asyncio.wait(self._running)
        if self._loading is not None and not self._loading.done():
            self._loading.cancel()
            with suppress(asyncio.CancelledError, MillraceError):
                await self._loading
        await asyncio.to_thread(self._thread.shutdown)

    # What the hooks call, in whichever thread moto is.

    def note_item(self, journal: Journal, table: Any, attributes: dict[str, Any]) -> None:
        """An item is about to change."""
        self._items.note(journal, table, attributes)

    def note_drop(self, journal: Journal, region: str, table: str) -> None:
        """A table was deleted."""
        self._items.note_drop(journal, region, table)

    def note_object(self, journal: Journal, bucket: str, key: str) -> None:
        """An object was written or removed."""
        self._objects.note(journal, bucket, key)

    def keep_body(self, backend: Any, bucket: str, key: str) -> None:
        """An object is about to get a newer version."""
        self._objects.keep_body(backend, bucket, key)

    def strayed(self, journal: Journal) -> None:
        """Make durable what a thread of moto's own did; that thread waits. Raises MillraceError."""
        self._wait(self._keep(Changes(journal, self._items.collect(journal), self._objects.collect(journal), [])))

    async def _load(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.warnings = await self._run(self._start)
        for warning in self.warnings:
            _log.warning("%s", warning)
        await self._made.load()
        await self._items.load()
        await self._objects.load()

    def _start(self) -> list[str]:
        """Import and change moto, empty it, and make the resources; in its thread."""
        os.environ.pop("MOTO_ACCOUNT_ID", None)  # would overrule the account that each call names
        from moto.core.base_backend import BackendDict
        from moto.core.config import default_user_config
        from moto.moto_server import werkzeug_app

        from millrace.aws.moto import hooks

        hooks.install(self)
        with recording(Journal()):
            BackendDict.reset()
            default_user_config["batch"]["use_docker"] = False  # jobs are recorded, nothing is run
            # moto would let every web page read every answer.
            werkzeug_app.DISABLE_GLOBAL_CORS = True  # type: ignore[attr-defined]
            self._application = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)
            return self._resources.create()

    async def _in_turn(self, service: str, call: Call) -> Reply:
        async with self._locks["dynamodb" if service.startswith("dynamodb") else service]:
            return await self._answer(service, call)

    async def _answer(self, service: str, call: Call) -> Reply:
        refusal = self._objects.refusal(call) if service == "s3" else ""
        if refusal:
            return fault(service, call.headers, "InvalidRequest", refusal)
        if service.startswith("dynamodb"):
            await self._items.refresh(call.body)
        elif service == "s3":
            await self._objects.refresh(call)
        try:
            reply, changes = await self._run(self._asked, service, call)
        except Changed as changed:
            await self._objects.again(changed)
            reply, changes = await self._run(self._asked, service, call)
        if changes.journal or changes.made:
            await self._keep_or_revert(changes)
        return reply

    def _asked(self, service: str, call: Call) -> tuple[Reply, Changes]:
        """One call in moto's thread, and what it changed."""
        before = self._made.before(service, call)
        with recording(Journal()) as journal:
            try:
                reply = wsgi.answer(self._application, call)
            except Changed:
                raise
            except NotImplementedError as error:
                text = str(error) or "moto does not know this action"
                reply = fault(service, call.headers, "NotImplemented", f"{service}: {text}")
            except Exception as error:
                _log.debug("moto's traceback", exc_info=True)
                text = f"moto failed: {type(error).__name__}: {error}"
                _log.error("%s %s of %s: %s", call.method, call.path[:200], service, text)
                reply = fault(service, call.headers, "InternalFailure", text)
        made = self._made.collect(service, before, journal)
        return reply, Changes(journal, self._items.collect(journal), self._objects.collect(journal), made)

    async def _keep_or_revert(self, changes: Changes) -> None:
        try:
            await self._keep(changes)
        except MillraceError:
            await self._run(self._items.revert, changes.journal)
            await self._objects.revert(changes.journal)
            await self._made.revert(changes.made)
            raise
        if changes.objects:
            await self._run(self._objects.settle, changes.objects)

    async def _keep(self, changes: Changes) -> None:
        """Data first, then the messages that tell of it."""
        await self._made.remember(changes.made)
        await self._objects.write(changes.objects)
        await self._items.write(changes.rows)
        await self._made.forget(changes.made)
        if changes.journal.puts:
            await self._send(changes.journal.puts)

    async def _send(self, puts: Sequence[Put]) -> None:
        """All at once; where a queue is not there, what went to it is dropped as AWS drops it, and told."""
        try:
            await self._put(puts)
        except UnknownQueue:
            for put in puts:
                try:
                    await self._put([put])
                except UnknownQueue:
                    _log.warning("a message for queue %r was dropped: there is no such queue", put.queue)

    async def _run(self, function: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _wait(self, awaitable: Awaitable[_T]) -> _T:
        """In a thread of moto's: the result of something in the event loop, which never waits for that thread."""
        if self._loop is None:
            raise RuntimeError("not loaded")
        return asyncio.run_coroutine_threadsafe(_as_coroutine(awaitable), self._loop).result(_STRAY_S)

    @staticmethod
    def _failed(task: asyncio.Task[None]) -> bool:
        return task.cancelled() or task.exception() is not None


def is_local(project: Project, bucket: str) -> bool:
    """Whether a bucket is kept here, and so answered by us; one elsewhere is reached there."""
    scheme, colon, _ = project.buckets[bucket].url.partition("://")
    return not colon or scheme in ("file", "memory")


async def _as_coroutine(awaitable: Awaitable[_T]) -> _T:
    return await awaitable
