"""What every contributor has in hand: the stack, the tree in millrace.yml's words, and where to complain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.config.faults import Fault
from millrace.config.tree import Node
from millrace.formats.arns import Arn, parse_arn
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.stack import Stack
from millrace.formats.cloudformation.values import document, text_of
from millrace.formats.keys import Keys, Tally, examine
from millrace.formats.nodes import append, put


class Weave:
    """Puts what resources mean into the tree; the reader of other formats may have put functions there already."""

    def __init__(self, stack: Stack, tree: Node, tally: Tally) -> None:
        self.stack = stack
        self.tree = tree
        self._tally = tally
        self._left_out: set[str] = set()

    def examine(self, resource: Resource, known: Keys) -> None:
        """Count a resource's keys and tell which are not understood; a generated resource's stand in no file."""
        if not resource.generated:
            self.examine_part(resource.properties, known, f"{resource.logical_id} ({resource.type})")

    def examine_part(self, part: Node | None, known: Keys, where: str) -> None:
        """The same for a mapping anywhere."""
        examine(self._tally, part, known, where)

    def warn(self, at: Node, what: str, expected: str = "") -> None:
        """Something worth saying at a node."""
        self._tally.faults.append(Fault(at.place, what, expected, severity="warning"))

    def refuse(self, at: Node, what: str, expected: str = "", got: str = "") -> None:
        """Something wrong at a node."""
        self._tally.faults.append(Fault(at.place, what, expected, got))

    def put(self, path: list[str], value: Any, like: Node) -> Node:
        """Set what stands at a path of the tree."""
        return put(self.tree, path, value, like)

    def section(self, name: str) -> Mapping[str, Node]:
        """What a section of the tree declares so far."""
        found = self.tree.child(name)
        return found.value if found is not None and isinstance(found.value, dict) else {}

    def claim(self, section: str, resource: Resource) -> str | None:
        """The name under which a resource is to be declared in a section; None, with a fault, where it is taken."""
        name = self.stack.name_of(resource.logical_id)
        if name not in self.section(section):
            return name
        self.refuse(resource.properties, f"two {section} are called {name!r}", "each name once")
        return None

    def declare(self, section: str, name: str, value: Any, like: Node) -> None:
        """A queue, table, bucket or topic that stands in no template but is spoken of: an empty one is made."""
        if name not in self.section(section):
            self.put([section, name], value, like)
            self.warn(like, f"{name} is not among the resources: an empty one is made under `{section}`")

    def add_event(self, function: str, event: dict[str, Any], like: Node) -> None:
        """One more trigger of a function."""
        append(self.tree, ["functions", function, "events"], event, like)

    def leave_out(self, name: str) -> None:
        """Remember a function that cannot run here, so that its triggers are passed over in silence."""
        self._left_out.add(name)

    def function(self, target: Node | None, where: str) -> str | None:
        """The function that a name or an ARN means, by its key in the tree; None, said once, where there is none."""
        if target is None:
            return None
        arn = parse_arn(text_of(target))
        name = arn.name if arn is not None and arn.service == "lambda" else text_of(target).split(":")[0]
        for key, function in self.section("functions").items():
            said = function.child("name")
            if name == (key if said is None else said.value):
                return key
        if name not in self._left_out:
            self.warn(target, f"{where}: no function of the project is called {name!r}: left aside")
        return None

    def arn(self, found: Node, where: str) -> Arn | None:
        """An ARN taken apart; None, with a fault, where the text is none."""
        arn = parse_arn(text_of(found))
        if arn is None:
            is_url = text_of(found).startswith(("http://", "https://"))
            example = "arn:aws:sqs:us-east-1:000000000000:jobs"
            expected = (
                "its ARN, as !GetAtt Jobs.Arn gives it: !Ref gives a queue's URL"
                if is_url
                else f"an ARN such as {example}"
            )
            self.refuse(found, where, expected, found.shown)
        return arn

    def document(self, found: Node, where: str) -> Any:
        """A mapping, or one that stands there as JSON; None, with a fault, where it is neither."""
        value, problem = document(found)
        if problem:
            self.refuse(found, where, "JSON", problem)
        return value
