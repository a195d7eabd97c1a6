"""Amazon SQS at home, over the broker port: two protocols, every action, AWS's limits and error codes.

Call ──protocols.py──▶ request ──actions.py──▶ queues | sending | receiving | receipts | moving ──▶ broker
                          ▲                                                        │
                     requests.py          results.py ──protocols.py──▶ Reply ◀─────┘
"""

from __future__ import annotations

from millrace.aws.sqs.service import SqsService

__all__ = ["SqsService"]
