"""What every part of the reader shares while one file is read: who the service is, its stack, the tree that grows."""

from __future__ import annotations

from typing import Any

import msgspec

from millrace.config.tree import Node
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.iam import Policy
from millrace.formats.serverless.ledger import Ledger


class Reading(msgspec.Struct):
    """`weave` holds the stack and the tree in millrace.yml's words.

    `layers` are the file's own; `buckets` are the names of provider.s3's buckets by their keys. `major` is the version
    of the framework that the file asks for; `wsgi` is the application of the plugin serverless-wsgi;
    `policies` are what functions' roles allow; `granted` are statements that the shared role has beside the file's.
    """

    service: str
    stage: str
    region: str
    major: int
    ledger: Ledger
    weave: Weave
    layers: Node | None = None
    buckets: dict[str, str] = msgspec.field(default_factory=dict)
    http_payload: str = "v2"
    http_cors: dict[str, Any] = msgspec.field(default_factory=dict)
    policies: dict[str, Policy] = msgspec.field(default_factory=dict)
    wsgi: Node | None = None
    granted: list[Node] = msgspec.field(default_factory=list)

    def resolve(self, node: Node) -> Node:
        """A value without CloudFormation's functions."""
        return self.weave.stack.resolve(node)

    @property
    def tree(self) -> Node:
        """The project in millrace.yml's words, as far as it has come."""
        return self.weave.tree
