"""What a crowd of clients does: posts files over several connections, some twice, and waits for every answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpx
import msgspec

from millrace.demo.scratch import Scan
from millrace.demo.spoilt import Spoilt
from millrace.errors import MillraceError

PATH = "/digits"
FINAL = frozenset({"done", "dead"})
_CONNECTIONS = 8
_WATCHERS = 8  # answers that are waited for at once
_WAIT_S = 20
_FORM_FILES = 20
_BUSY = frozenset({429, 503})


class Parcel(msgspec.Struct, frozen=True):
    """One request: the names and bytes of its files; a `form` is multipart, `repeat` sends it twice under one key."""

    files: tuple[tuple[str, bytes], ...]
    form: bool = False
    repeat: bool = False


class Acceptance(msgspec.Struct, frozen=True):
    """The server's 202 for one file."""

    id: str
    name: str


def plan(scans: Sequence[Scan], spoilt: Sequence[Spoilt]) -> list[Parcel]:
    """Who posts what: half of the scans in forms, half one by one, each 20th of these twice, the bad ones between."""
    half = len(scans) // 2
    forms = [Parcel(tuple((scan.name, scan.body) for scan in part), form=True) for part in _parts(scans[:half])]
    parcels = [Parcel(((scan.name, scan.body),), repeat=not index % 20) for index, scan in enumerate(scans[half:])]
    _spread(forms, parcels)
    _spread([Parcel(((each.name, each.body),), form=True) for each in spoilt], parcels)
    return parcels


def _parts(scans: Sequence[Scan]) -> Iterable[Sequence[Scan]]:
    return (scans[start : start + _FORM_FILES] for start in range(0, len(scans), _FORM_FILES))


def _spread(some: Sequence[Parcel], among: list[Parcel]) -> None:
    """Insert some parcels at even distances among the others."""
    step = len(among) // (len(some) + 1) + 1
    for index, parcel in enumerate(some):
        among.insert((index + 1) * step, parcel)


class Crowd:
    """Posts parcels and waits for answers; `acceptances` and `answers` say what came back."""

    def __init__(self, url: str, notice: Callable[[Crowd], None] = lambda _: None) -> None:
        self.acceptances: list[Acceptance] = []
        self.answers: dict[str, dict[str, Any]] = {}  # by id, what GET /results said at last
        self._notice = notice
        self._url = url
        self._watching = asyncio.Semaphore(_WATCHERS)

    async def run(self, parcels: Iterable[Parcel]) -> None:
        """Return once every accepted file has a final answer. Raises MillraceError when the server refuses one."""
        queue = deque(parcels)
        limits = httpx.Limits(max_connections=_CONNECTIONS + _WATCHERS)
        async with (
            httpx.AsyncClient(base_url=self._url, limits=limits, timeout=_WAIT_S + 10, trust_env=False) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(_CONNECTIONS):
                tasks.create_task(self._post_all(client, queue, tasks))

    async def _post_all(self, client: httpx.AsyncClient, queue: deque[Parcel], tasks: asyncio.TaskGroup) -> None:
        while queue:
            parcel = queue.popleft()
            for _ in range(2 if parcel.repeat else 1):
                ids = accepted_ids(await self._post(client, parcel))
                self._accept(parcel, ids, client, tasks)

    def _accept(self, parcel: Parcel, ids: Sequence[str], client: httpx.AsyncClient, tasks: asyncio.TaskGroup) -> None:
        if len(ids) != len(parcel.files):
            raise MillraceError(f"posted {len(parcel.files)} files, {len(ids)} were accepted")
        known = {acceptance.id for acceptance in self.acceptances} if parcel.repeat else set()
        for id, (name, _) in zip(ids, parcel.files, strict=True):
            self.acceptances.append(Acceptance(id, name))
            if id not in known:
                tasks.create_task(self._watch(client, id))
        self._notice(self)

    async def _post(self, client: httpx.AsyncClient, parcel: Parcel) -> httpx.Response:
        """Post until accepted: told to come back later, a client does."""
        while True:
            response = await client.send(_request(client, parcel))
            if response.status_code not in _BUSY:
                return response
            await asyncio.sleep(float(response.headers.get("retry-after", 1)))

    async def _watch(self, client: httpx.AsyncClient, id: str) -> None:
        async with self._watching:
            record: dict[str, Any] = {}
            while record.get("state") not in FINAL:
                response = await client.get(f"/results/{id}", params={"wait": _WAIT_S})
                if response.status_code not in (200, 202):
                    raise MillraceError(f"GET /results/{id} answered {response.status_code}", response.text[:500])
                record = response.json()
        self.answers[id] = record
        self._notice(self)


def _request(client: httpx.AsyncClient, parcel: Parcel) -> httpx.Request:
    if parcel.form:
        return client.build_request("POST", PATH, files=[("file", (*file, "image/png")) for file in parcel.files])
    (name, body) = parcel.files[0]
    return client.build_request(
        "POST", PATH, content=body, headers={"content-type": "image/png", "idempotency-key": name}
    )


def accepted_ids(response: httpx.Response) -> list[str]:
    """The ids in a 202. Raises MillraceError for any other answer."""
    if response.status_code != 202:
        raise MillraceError(f"POST {PATH} answered {response.status_code}", response.text[:500])
    answer = response.json()
    return [answer["id"]] if "id" in answer else list(answer["ids"])
