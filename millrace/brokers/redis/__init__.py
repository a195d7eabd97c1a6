"""Queues in Redis 7 or Valkey: a stream each, with the group `millrace`, and every verb one script.

Scripts make a verb all or nothing, whoever else uses the queue: its effects are one entry of the append-only file.
Other programs put with a plain XADD, and see the queue with XINFO and XPENDING.
"""

from __future__ import annotations

from millrace.brokers.redis.opening import open_broker

__all__ = ["open_broker"]
