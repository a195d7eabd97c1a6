"""SQS's JSON protocol over HTTP/1.1: signed, answered, and asked again where the failure is a passing one.

Source: AWS JSON protocol 1.0 as in the SQS API reference, "Making API requests using AWS JSON protocol".
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from millrace.brokers.sqs.access import Access
from millrace.brokers.sqs.fault import Fault, fault_of
from millrace.clock import Clock
from millrace.errors import BrokerError, words
from millrace.loopback import is_loopback
from millrace.pauses import pauses

PATIENCE_S = 20.0
FOR_EVER_S = math.inf
SENT_AT = "SentAt"  # of every answer: when the request left that got it, monotonic seconds
_ANSWER_S = 10.0  # of silence beyond the wait that was asked for
_CONNECT_S = 5.0
_LONGEST_PAUSE_S = 2.0  # while nobody answers
_CONNECTIONS = 64
_log = logging.getLogger(__name__)

Json = dict[str, Any]


class Client:
    """Asks one endpoint; there is one line in the log when it stops answering, and one when it answers again.

    Until it has answered for the first time there is none: whoever opens the broker hears of it and says so.
    """

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._trouble = ""
        self._answered = False

    async def call(
        self, action: str, members: Mapping[str, Any], *, wait_s: float = 0.0, patience_s: float = PATIENCE_S
    ) -> Json:
        """The answer to an action. Raises Fault for a refusal, BrokerError where none came within patience_s."""
        body = msgspec.json.encode(members)
        give_up_at = self._clock.monotonic() + patience_s
        away, throttled = pauses(longest_s=_LONGEST_PAUSE_S), pauses()
        cause: Exception
        while True:
            sent_at = self._clock.monotonic()
            try:
                answer = await self._once(action, body, wait_s)
            except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
                trouble, cause = _no_answer(self._access.endpoint, error), error
                waits = away
            except Fault as fault:
                if not fault.passing:
                    raise
                trouble, cause = f"{self._access.endpoint} says {fault}", fault
                waits = throttled
            else:
                self._well()
                return answer | {SENT_AT: sent_at}
            pause_s = next(waits)
            if self._clock.monotonic() + pause_s > give_up_at:
                raise BrokerError(
                    f"SQS, {action}: {trouble}", "check the endpoint, the network and the quotas"
                ) from cause
            self._ill(trouble)
            await self._clock.sleep(pause_s)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(self, action: str, body: bytes, wait_s: float) -> Json:
        headers = await self._access.headers(action, body)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=wait_s + _ANSWER_S)
        async with self._opened().post(self._access.endpoint, data=body, headers=headers, timeout=timeout) as answer:
            text = await answer.read()
            if answer.status == 200:
                return msgspec.json.decode(text, type=Json) if text else {}
            raise fault_of(answer.status, _told(text))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            here = is_loopback(urlsplit(self._access.endpoint).hostname or "")
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS), trust_env=not here, auto_decompress=True
            )
        return self._session

    def _ill(self, trouble: str) -> None:
        if self._answered and not self._trouble:
            _log.warning("SQS is asked again until it answers: %s", trouble)
        self._trouble = trouble

    def _well(self) -> None:
        if self._answered and self._trouble:
            _log.warning("SQS answers again; before: %s", self._trouble)
        self._answered, self._trouble = True, ""


def _no_answer(endpoint: str, error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):  # no HTTP; its other lines are what came instead
        return f"what answers at {endpoint} is no SQS: {error.message.partition(chr(10))[0].rstrip(':')}"
    if isinstance(error, msgspec.DecodeError):
        return f"what answers at {endpoint} is no SQS: {error}"
    return f"no answer from {endpoint}: {words(error)}"


def _told(text: bytes) -> Json:
    """An error's members; what is no JSON comes from something between us and SQS, and its status counts."""
    try:
        return msgspec.json.decode(text, type=Json)
    except msgspec.DecodeError:
        return {}
