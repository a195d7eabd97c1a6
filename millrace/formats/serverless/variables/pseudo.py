"""`#{AWS::Region}`, `#{AWS::AccountId}` and `#{Queue.Arn}` of the pseudo-parameters plugin."""

from __future__ import annotations

import re

from millrace.config.faults import Fault
from millrace.config.tree import Node

_HASH = re.compile(r"#\{\s*((?:AWS::)?[A-Za-z][\w]*(?:\.[\w.]+)?)\s*\}")


class Pseudo:
    """Rewrites `#{X}` as the plugin does, to CloudFormation's Fn::Sub of `${X}`."""

    def __init__(self, listed: bool, faults: list[Fault]) -> None:
        self._listed = listed
        self._faults = faults

    def replace(self, node: Node) -> Node:
        """The node, as a Fn::Sub where its text has a `#{X}`; without the plugin `#{AWS::X}` alone, with a warning."""
        if not isinstance(node.value, str) or not (found := _HASH.findall(node.value)):
            return node
        if not self._listed:
            if not any(name.startswith("AWS::") for name in found):
                return node
            what = "#{AWS::...} without the plugin serverless-pseudo-parameters: it is filled in all the same"
            hint = "`plugins: [serverless-pseudo-parameters]`, or ${aws:region}"
            self._faults.append(Fault(node.place, what, hint, severity="warning"))
        written = None if node.written is None else _dollars(node.written)
        inner = Node(_dollars(node.value), node.place, node.place, written)
        return Node({"Fn::Sub": inner}, node.place, node.key_place)


def _dollars(text: str) -> str:
    return _HASH.sub(lambda match: f"${{{match[1]}}}", text)
