"""DynamoDB's API through botocore, in threads: it signs, finds credentials and repeats what was throttled."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from millrace.errors import StorageBusy, StorageDenied, StorageError
from millrace.stores.dynamodb.address import Address

AT_ONCE = 16  # calls, and connections
_CONNECT_S, _ANSWER_S = 5.0, 10.0
_TRIES = 6
_BUSY = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionInProgressException",
        "TransactionCanceledException",
        "TransactionConflictException",
    }
)
_DENIED = frozenset({"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException"})

Json = dict[str, Any]


class Fault(Exception):
    """DynamoDB refused; `code` is the error's name in its API reference."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Client:
    """Calls of one endpoint; made by `connect`."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="dynamodb")
        self._api: Any = None

    async def connect(self) -> None:
        """Read the API's description and find credentials. Raises StorageError."""
        try:
            self._api = await asyncio.get_running_loop().run_in_executor(self._threads, self._made)
        except (BotoCoreError, ValueError) as error:
            raise self._away(error) from error

    async def call(self, operation: str, **members: Any) -> Json:
        """The answer to an operation, as `get_item`. Raises Fault for a refusal, StorageError where none came."""
        work = partial(getattr(self._api, operation), **members)
        try:
            answer: Json = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except ClientError as error:
            told = error.response["Error"]
            raise Fault(str(told.get("Code", "Unknown")), str(told.get("Message", ""))) from error
        except BotoCoreError as error:
            raise self._away(error) from error
        return answer

    def told(self, doing: str, fault: Fault) -> StorageError:
        """The error for people; `doing` is what was tried, as `put rows`."""
        problem = f"{self.address}: DynamoDB refused to {doing}: {fault}"
        if fault.code in _BUSY:
            return StorageBusy(problem, "it is tried again; check the table's capacity")
        if fault.code in _DENIED:
            return StorageDenied(problem, "check the credentials, and that their policy allows this on the table")
        if fault.code == "ResourceNotFoundException":
            return StorageError(problem, "something dropped the table: start again to have it made")
        return StorageError(problem, "see the error's name in DynamoDB's API reference")

    async def close(self) -> None:
        """Let go of threads and connections."""
        if self._api is not None:
            self._api.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _made(self) -> Any:
        config = Config(
            parameter_validation=False,
            connect_timeout=_CONNECT_S,
            read_timeout=_ANSWER_S,
            max_pool_connections=AT_ONCE,
            retries={"mode": "standard", "total_max_attempts": _TRIES},
        )
        return Session().create_client(
            "dynamodb", region_name=self.address.region, endpoint_url=self.address.endpoint, config=config
        )

    def _away(self, error: Exception) -> StorageError:
        return StorageError(
            f"{self.address}: DynamoDB cannot be asked: {error}",
            "check region and endpoint in the table's `url`, the network, and AWS's credentials",
        )
