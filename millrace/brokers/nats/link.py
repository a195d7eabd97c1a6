"""The connection as everybody else sees it: it comes back by itself, and requests survive that or say so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import ssl
from collections.abc import Callable, Sequence

from millrace.broker_address import Address, place
from millrace.brokers.nats.asked import Answer, Cut, Inbox, OnReply, Request, Silent
from millrace.brokers.nats.greeting import greet, reach
from millrace.brokers.nats.wire import Wire, hpub, pub
from millrace.errors import BrokerDenied, BrokerError, words
from millrace.pauses import pauses

_log = logging.getLogger(__name__)
_CONNECT_S = 5.0
_LONGEST_PAUSE_S = 1.0  # while nobody answers: a server that restarts is back in seconds
PATIENCE_S = 10.0  # without any answer, or without a connection, until a request fails
_SILENCE_S = 15.0  # after which the server is asked whether it is there; twice that is an end
_CHUNK = 256_000  # bytes, written at once


class Link:
    """A connection to the first host that answers, again and again until it is closed."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.max_payload = 0
        self.connections = 0  # so far
        self._wire: Wire | None = None
        self._up = asyncio.Event()
        self._root = f"_INBOX.{secrets.token_hex(11)}."
        self.nobody = f"{self._root}0"  # the inbox for answers that nobody waits for
        self._inboxes: dict[bytes, Inbox] = {}  # by their part of the subject
        self._own: dict[int, Inbox] = {}  # by the number of their subscription
        self._last = 1  # numbers of subscriptions; 1 is shared
        self._keeping: asyncio.Task[None] | None = None
        self._host = 0

    async def connect(self) -> None:
        """Connect for the first time. Raises BrokerError that says why none of the hosts would do."""
        await self._connect()
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Flush, and let go; harmless when it was done."""
        if self._keeping is None:
            return
        self._keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeping
        self._keeping = None
        if self._wire is not None and self._wire.transport is not None:
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(self._wire.ping(), 1.0)
            self._wire.transport.close()
        self._lost()

    async def up(self) -> None:
        """Return when there is a connection. Raises BrokerError when none comes in time."""
        if self._up.is_set():
            return
        try:
            await asyncio.wait_for(self._up.wait(), PATIENCE_S)
        except TimeoutError as error:
            raise BrokerError(
                f"{self.address} cannot be reached", "nothing is lost that was accepted; it is tried again for ever"
            ) from error

    def write(self, data: bytes) -> None:
        """Send commands. Raises Cut without a connection."""
        if self._wire is None or not self._up.is_set():
            raise Cut(f"{self.address}: the connection is lost", "it is tried again until it is back")
        self._wire.write(data)

    async def send(self, commands: Sequence[bytes]) -> None:
        """Send many commands, a piece at a time, so that neither socket nor memory overflows. Raises Cut."""
        piece: list[bytes] = []
        size = 0
        for command in commands:
            piece.append(command)
            size += len(command)
            if size >= _CHUNK:
                self.write(b"".join(piece))
                piece, size = [], 0
                if self._wire is not None:
                    await self._wire.room()
        self.write(b"".join(piece))

    def inbox(self, on_reply: OnReply, on_cut: Callable[[], None], *, own: bool = False) -> Inbox:
        """Open an inbox; deliveries, which keep their subject, need one with a subscription of its `own`."""
        self._last += 1
        key = b"%d" % self._last
        box = self._inboxes[key] = Inbox(f"{self._root}{self._last}", on_reply, on_cut)
        if own:
            box.sid = self._last
            box.subject = f"_INBOX.{secrets.token_hex(11)}"
            self._own[box.sid] = box
            self.write(b"SUB %s %d\r\n" % (box.subject.encode(), box.sid))
        return box

    def shut(self, box: Inbox, *, ended: bool = True) -> None:
        """Close an inbox; where more may be under way it still gets that."""
        if box.sid and self._wire is not None and self._up.is_set():
            self._wire.write(b"UNSUB %d\r\n" % box.sid)
            if not ended:
                self._wire.ping().add_done_callback(lambda _: self._forget(box))
                return
        self._forget(box)

    def _forget(self, box: Inbox) -> None:
        self._own.pop(box.sid, None)
        self._inboxes.pop(b"%d" % box.sid if box.sid else box.subject[len(self._root) :].encode(), None)

    async def ask(self, subject: str, body: bytes = b"", head: bytes = b"") -> Answer:
        """Ask one thing. Raises BrokerError when no answer comes."""
        return (await self.ask_all([Request(subject, body, head)]))[0]

    async def ask_all(self, requests: Sequence[Request], patience_s: float | None = None) -> list[Answer]:
        """Ask many things at once, in order, and again what a lost connection leaves open.

        Raises Silent when no answer comes for so long; then some may have been done.
        """
        patience_s = PATIENCE_S if patience_s is None else patience_s
        answers: dict[int, Answer] = {}
        repeated = False
        while len(answers) < len(requests):
            await self.up()
            with contextlib.suppress(Cut):
                await self._ask(requests, answers, repeated, patience_s)
            repeated = True
        return [answers[number] for number in range(len(requests))]

    async def _ask(
        self, requests: Sequence[Request], answers: dict[int, Answer], repeated: bool, patience_s: float
    ) -> None:
        """One try; raises Cut with some of the answers there."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def reply(part: bytes, _reply: bytes, head: bytes, body: bytes) -> None:
            answers[int(part)] = Answer(head, body, repeated)
            if len(answers) == len(requests) and not done.done():
                done.set_result(None)

        def cut() -> None:
            if not done.done():
                done.set_exception(Cut(f"{self.address}: the connection was lost"))

        box = self.inbox(reply, cut)
        try:
            await self.send(
                [
                    (hpub(each.subject, each.head, each.body, f"{box.subject}.{number}"))
                    if each.head
                    else pub(each.subject, each.body, f"{box.subject}.{number}")
                    for number, each in enumerate(requests)
                    if number not in answers
                ]
            )
            await self._patiently(done, answers, patience_s)
        finally:
            done.cancel()
            self.shut(box)

    async def _patiently(self, done: asyncio.Future[None], answers: dict[int, Answer], patience_s: float) -> None:
        had = -1
        while not done.done():
            if len(answers) == had:
                raise Silent(f"{self.address} gave no answer within {patience_s:.0f} s", "is it overloaded?")
            had = len(answers)
            await asyncio.wait([done], timeout=patience_s)
        done.result()

    async def _keep(self) -> None:
        """Connect again whenever the connection is lost; cancelled by `close`."""
        while self._wire is not None:
            reason = await self._watch(self._wire)
            self._lost()
            _log.warning("%s: connection lost (%s); trying again until it is back", self.address, reason)
            away, denied = pauses(longest_s=_LONGEST_PAUSE_S), pauses()
            waits = away
            while not self._up.is_set():
                await asyncio.sleep(next(waits))
                try:
                    await self._connect()
                except BrokerError as error:
                    waits = denied if isinstance(error, BrokerDenied) else away
            _log.warning("%s: connected again", self.address)

    async def _watch(self, wire: Wire) -> str:
        """Why the connection was lost; a server that is silent even when asked is no connection."""
        asked = False
        while True:
            wire.heard = False
            await asyncio.wait([wire.lost], timeout=_SILENCE_S)
            if wire.lost.done():
                return wire.lost.result()
            if wire.heard:
                asked = False
            elif asked and wire.transport is not None:
                wire.transport.abort()
                return f"silent for {2 * _SILENCE_S:.0f} s"
            else:
                asked = True
                wire.ping()

    def _lost(self) -> None:
        """Nothing that was asked on this connection will be answered."""
        self._up.clear()
        boxes = list(self._inboxes.values())
        self._inboxes.clear()
        self._own.clear()
        for box in boxes:
            box.on_cut()

    async def _connect(self) -> None:
        """Try each host once, beginning with the one after the last."""
        problem = BrokerError(f"{self.address} names no host")
        for _ in self.address.hosts:
            host, port = self.address.hosts[self._host % len(self.address.hosts)]
            self._host += 1
            try:
                await self._meet(host, port)
            except ssl.SSLError as error:
                problem = BrokerError(
                    f"{self.address}: {place(host, port)} cannot be trusted ({error.reason or error})",
                    "name the authority of its certificate with ?cafile=",
                )
            except (OSError, TimeoutError) as error:
                problem = BrokerError(
                    f"{self.address}: nobody answers at {place(host, port)} ({words(error)})",
                    "start nats-server -js there, or correct the address",
                )
            except BrokerError as error:
                problem = error
            else:
                self.connections += 1
                self._up.set()
                return
        raise problem

    async def _meet(self, host: str, port: int) -> None:
        wire, info = await reach(self.address, host, port, self._received, self._complain, _CONNECT_S)
        try:
            async with asyncio.timeout(_CONNECT_S):
                self.max_payload = await greet(self.address, host, wire, info, self._root)
        except TimeoutError as error:
            raise BrokerError(
                f"{self.address}: {place(host, port)} greets and says no more for {_CONNECT_S:.0f} s",
                "is it overloaded?",
            ) from error
        self._wire = wire

    def _complain(self, text: str) -> None:
        _log.error("%s: the server says: %s", self.address, text)

    def _received(self, sid: int, subject: bytes, reply: bytes, head: bytes, body: bytes) -> None:
        if sid == 1:
            key, _, part = subject[len(self._root) :].partition(b".")
            box = self._inboxes.get(key)
        else:
            part, box = b"", self._own.get(sid)
        if box is not None:
            box.on_reply(part, reply, head, body)
