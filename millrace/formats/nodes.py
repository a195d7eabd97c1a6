"""Builders of a tree in millrace.yml's words: what is made takes the place of the node that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from millrace.config.faults import Place
from millrace.config.tree import Node


def mapping(place: Place) -> Node:
    """An empty mapping that stands at a place."""
    return Node({}, place, place)


def text(value: str, like: Node) -> Node:
    """A text that stands where `like` stands."""
    return node(value, like)


def node(value: Any, like: Node) -> Node:
    """Any plain value, whose parts all stand where `like` stands; parts that are Nodes already keep their places."""
    if isinstance(value, Node):
        return value
    if isinstance(value, dict):
        value = {str(key): node(item, like) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        value = [node(item, like) for item in value]
    return Node(value, like.place, like.key_place)


def put(tree: Node, path: Sequence[str], value: Any, like: Node) -> Node:
    """Set what stands at a path of keys, making the mappings on the way; the node that was put."""
    for step in path[:-1]:
        tree = tree.value.setdefault(step, Node({}, like.place, like.key_place))
    made = node(value, like)
    tree.value[path[-1]] = made
    return made


def append(tree: Node, path: Sequence[str], value: Any, like: Node) -> Node:
    """Add an item to the list at a path of keys, making mappings and list on the way; the node that was added."""
    for step in path[:-1]:
        tree = tree.value.setdefault(step, Node({}, like.place, like.key_place))
    items = tree.value.setdefault(path[-1], Node([], like.place, like.key_place))
    made = node(value, like)
    items.value.append(made)
    return made
