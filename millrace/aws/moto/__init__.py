"""The AWS services that are not ours: moto's server in this process, with what must last written through.

call → what changed beside moto is read in → moto answers, in its one thread → what it changed is made durable in our
tables, buckets and queues → the answer goes out.

moto keeps everything in memory and knows queues of its own. `hooks` notes in a journal what a call changed and sent;
`objects` and `items` mirror S3 and DynamoDB, `made` remembers their buckets and tables; what moto sends to queues and
functions becomes messages of our broker.
"""

from __future__ import annotations

from millrace.aws.moto.reach import MOTO_SERVICES, SURVIVES, Reach
from millrace.aws.moto.services import Services

__all__ = ["MOTO_SERVICES", "SURVIVES", "Reach", "Services"]
