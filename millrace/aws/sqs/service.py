"""The service: one call in, one reply out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.aws.endpoint.call import Call, Reply
from millrace.aws.sqs.actions import INPUTS, SQS_ACTIONS
from millrace.aws.sqs.attributes import RULES
from millrace.aws.sqs.desk import Desk
from millrace.aws.sqs.errors import SqsError, invalid, no_queue
from millrace.aws.sqs.protocols import wire_of
from millrace.aws.sqs.registry import Registry
from millrace.broker import Broker, Queue
from millrace.clock import Clock, SystemClock
from millrace.errors import BrokerError, ConfigError, MillraceError, QueueFull, TooLarge, UnknownQueue
from millrace.store import Table


class SqsService:
    """Amazon SQS for one account over a broker; `table` (its key is registry.TABLE_KEY) remembers the queues."""

    def __init__(self, broker: Broker, table: Table, *, account: str, region: str, clock: Clock | None = None) -> None:
        registry = Registry(broker, table, account, region)
        self._desk = Desk(broker, registry, account, clock or SystemClock())

    async def start(self, queues: Sequence[Queue], attributes: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Make the declared queues exist, with these attributes by queue, and those that were made through the API.

        Raises ConfigError for an attribute that SQS does not have or a value that it would refuse.
        """
        for queue, named in (attributes or {}).items():
            for name, value in named.items():
                _check(queue, name, value)
        await self._desk.registry.start(queues, attributes or {}, self._desk.now_s())

    async def handle(self, call: Call) -> Reply:
        """Do what a call asks for; whatever it holds, the reply is SQS's."""
        wire = wire_of(call)
        try:
            name, request = wire.read(call, INPUTS)
            return wire.answer(name, await SQS_ACTIONS[name].do(self._desk, request, call))
        except SqsError as error:
            return wire.refuse(error)
        except MillraceError as error:
            return wire.refuse(_translated(error))

    async def close(self) -> None:
        """Stop move tasks that run."""
        await self._desk.close()


def _translated(error: MillraceError) -> SqsError:
    """What the broker or the disk refused, in the words that make an SDK do the right thing: give up, or try again."""
    if isinstance(error, UnknownQueue):
        return no_queue()
    if isinstance(error, QueueFull):
        return SqsError("RequestThrottled", error.problem)
    if isinstance(error, TooLarge):
        return invalid(error.problem)
    if isinstance(error, BrokerError):
        return SqsError("UnsupportedOperation", error.problem)
    return SqsError("ServiceUnavailableException", error.problem)


def _check(queue: str, name: str, value: str) -> None:
    rule = RULES.get(name)
    if rule is None:
        raise ConfigError(f"queue {queue}: SQS has no attribute {name}", f"it has {', '.join(RULES)}")
    if not rule.allows(value):
        raise ConfigError(f"queue {queue}: attribute {name} cannot be {value!r}", "see CreateQueue in AWS's reference")
