"""Tables in Amazon DynamoDB, or in what speaks its API; their rows are written before the commit, under their keys."""

from __future__ import annotations

from millrace.stores.dynamodb.opening import open_table
from millrace.stores.dynamodb.table import DynamoTable

__all__ = ["DynamoTable", "open_table"]
