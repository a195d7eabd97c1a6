"""The broker port on Amazon SQS, or on whatever speaks its JSON protocol: millrace's own endpoint, moto, ElasticMQ.

sqs://eu-west-1                                                   AWS, with the usual chain of credentials
sqs://KEY:SECRET@eu-west-1/123456789012?prefix=team.              the queues of one account
sqs://KEY:SECRET@eu-west-1?endpoint=http://127.0.0.1:8401         an endpoint of one's own
"""

from __future__ import annotations

from millrace.brokers.sqs.access import open_access
from millrace.brokers.sqs.broker import SqsBroker
from millrace.brokers.sqs.client import Client
from millrace.brokers.sqs.fault import Fault
from millrace.clock import Clock, SystemClock
from millrace.known_brokers import SQS

__all__ = ["SqsBroker", "open_broker"]

_FIRST_PATIENCE_S = 5.0


async def open_broker(url: str, *, clock: Clock | None = None) -> SqsBroker:
    """Find endpoint and credentials, and ask one thing. Raises BrokerError that says what is wrong and what to do."""
    address = SQS.address(url)
    clock = clock or SystemClock()
    client = Client(await open_access(address), clock)
    try:
        await client.call("ListQueues", {"MaxResults": 1}, patience_s=_FIRST_PATIENCE_S)
    except Fault as fault:
        if not fault.denied:  # who may not list queues may still use them
            await client.close()
            raise fault.told("ask for queues") from fault
    except BaseException:
        await client.close()
        raise
    return SqsBroker(client, prefix=address.prefix, account=address.path or "", clock=clock)
