"""A resource of a template, as those who read it see it."""

from __future__ import annotations

import msgspec

from millrace.config.tree import Node


class Resource(msgspec.Struct, frozen=True):
    """A resource that its condition lets exist; `properties` are resolved, `node` is as written.

    A resource that was `generated` stands in no file: nothing is said of its keys.
    """

    logical_id: str
    type: str
    properties: Node
    node: Node
    generated: bool = False

    def get(self, *keys: str) -> Node | None:
        """A property, or what lies below it at a path of keys."""
        found: Node | None = self.properties
        for key in keys:
            found = None if found is None else found.child(key)
        return found
