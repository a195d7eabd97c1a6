"""Claim check: a broker whose large bodies wait in a bucket, while a reference travels through the queue."""

from __future__ import annotations

from millrace.brokers.claims.broker import ClaimCheck
from millrace.brokers.claims.claim import CLAIM

__all__ = ["CLAIM", "ClaimCheck"]
