"""Where what the translator made stood in the template: its nodes beside the original's, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.values import below, entries, items, text_of

# What the translator calls otherwise than the template does.
_SYNONYMS = {
    "EventSourceArn": ("Queue", "Stream"),
    "TopicArn": ("Topic",),
    "ScheduleExpression": ("Schedule", "ScheduleExpression"),
    "EventPattern": ("Pattern",),
    "Code": ("CodeUri", "InlineCode", "ImageUri"),
    "Content": ("ContentUri",),
    "DeadLetterConfig": ("DeadLetterQueue", "DeadLetterConfig"),
    "Body": ("DefinitionBody",),
    "Input": ("Input",),
}
_WRAPPERS = frozenset({"Properties", "Targets", "Target"})
_PATH_TYPES = ("Api", "HttpApi")


class Places:
    """Gives each value of a translated template the place of what it was made from."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._resources = dict(entries(root.child("Resources")))

    def template(self, translated: dict[str, Any]) -> Node:
        """The whole translated template as a tree."""
        found = self._graft(translated, [self._root], self._root)
        section = self._root.child("Resources") or self._root
        resources = {name: self.resource(name, each) for name, each in translated["Resources"].items()}
        found.value["Resources"] = Node(resources, section.place, section.key_place)
        if (parameters := self._root.child("Parameters")) is not None:
            found.value["Parameters"] = parameters
        return found

    def resource(self, name: str, translated: dict[str, Any]) -> Node:
        """One resource: of its own name, or made from one whose name begins its name, or from one of its events."""
        original = self._resources.get(name)
        if original is None:
            return self._made(name, translated)
        if not text_of(original.child("Type")).startswith("AWS::Serverless::"):
            return self._with_events(self._graft(translated, [original], original))
        kind = text_of(original.child("Type")).rpartition("::")[2]
        shared = below(self._root, "Globals", kind)
        candidates = [each for each in (original.child("Properties"), shared) if each is not None]
        return self._with_events(self._graft(translated, candidates, original))

    def origin(self, name: str) -> tuple[Node | None, Node | None]:
        """The resource and its event that a made name begins with: FQ is made from F's event Q."""
        owner = max((each for each in self._resources if name.startswith(each)), key=len, default="")
        if not owner:
            return None, None
        events = dict(entries(below(self._resources[owner], "Properties", "Events")))
        event = max((each for each in events if name[len(owner) :].startswith(each)), key=len, default="")
        return self._resources[owner], events.get(event)

    def _made(self, name: str, translated: dict[str, Any]) -> Node:
        original, event = self.origin(name)
        if original is None:
            like = next(self._events_of(_PATH_TYPES), self._root.child("Resources") or self._root)
            return self._with_events(self._graft(translated, [], like))
        found = event or original
        properties = found.child("Properties")
        if event is not None:
            return self._graft(translated, [] if properties is None else [properties], event)
        # FEventInvokeConfig and FUrl are made from properties of F whose names they end in
        config = next((each for key, each in entries(properties) if _is_made_from(name, key)), None)
        return self._graft(translated, [] if config is None else [config], config or original)

    def _graft(self, value: Any, candidates: Sequence[Node], like: Node) -> Node:
        """A plain value as nodes; `candidates` are what it may have been made from, the first that has a key wins."""
        if isinstance(value, dict):
            made = {}
            for key, child in value.items():
                found = candidates if key in _WRAPPERS else list(_under(candidates, str(key)))
                if key == "Properties":
                    found = [*_under(candidates, "Properties"), *candidates]
                made[str(key)] = self._graft(child, found, like if key in _WRAPPERS or not found else found[0])
            return Node(made, like.place, like.key_place)
        if isinstance(value, list):
            originals = [each.value for each in candidates if isinstance(each.value, list)]
            first: list[Node] = originals[0] if originals else []
            made_items = []
            for index, child in enumerate(value):
                original = [first[index]] if len(first) == len(value) else list(candidates)
                made_items.append(self._graft(child, original, original[0] if original else like))
            return Node(made_items, like.place, like.key_place)
        plain = str(value) if isinstance(value, str) else value
        return Node(plain, like.place, like.key_place)

    def _with_events(self, resource: Node) -> Node:
        """Paths of an API and whom a bucket calls stand where the functions' events stand."""
        for path, methods in entries(below(resource, "Properties", "Body", "paths")):
            for method, described in entries(methods):
                for event in self._events_of(_PATH_TYPES):
                    verb = text_of(below(event, "Properties", "Method")).lower()
                    same = method.lower() in (verb, f"x-amazon-apigateway-{verb}-method")
                    if same and text_of(below(event, "Properties", "Path")) == path:
                        _move(described, event)
        configured = below(resource, "Properties", "NotificationConfiguration", "LambdaConfigurations")
        for each in items(configured):
            target = below(each, "Function", "Fn::GetAtt")
            owner = text_of(items(target)[0]) if items(target) else ""
            for event in self._events_of(("S3",), owner):
                _move(each, event)
                break
        return resource

    def _events_of(self, kinds: Sequence[str], owner: str = "") -> Iterator[Node]:
        for name, resource in self._resources.items():
            for _, event in entries(below(resource, "Properties", "Events")):
                if text_of(event.child("Type")) in kinds and owner in ("", name):
                    yield event


def _is_made_from(name: str, key: str) -> bool:
    return name.endswith(key) or (key == "FunctionUrlConfig" and name.endswith("Url"))


def _under(candidates: Sequence[Node], key: str) -> Iterator[Node]:
    for candidate in candidates:
        for name in (key, *_SYNONYMS.get(key, ())):
            found = candidate.child(name)
            if found is not None:
                yield found


def _move(node: Node, to: Node) -> None:
    """Give a node and all below it another place."""
    node.place, node.key_place = to.place, to.key_place
    for _, child in entries(node):
        _move(child, to)
    for child in node.value if isinstance(node.value, list) else ():
        _move(child, to)
