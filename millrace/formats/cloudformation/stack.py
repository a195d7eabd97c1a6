"""A template with everything in it known: parameters, conditions, the names and ARNs of its resources."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any

from millrace.config.faults import Fault, Place, nearest, one_of
from millrace.config.tree import Node
from millrace.formats.cloudformation.conditions import holds
from millrace.formats.cloudformation.functions import FUNCTIONS, as_text
from millrace.formats.cloudformation.identities import IDENTITIES, Named, default_name, identity_of
from millrace.formats.cloudformation.opened import Opened
from millrace.formats.cloudformation.parameters import read_parameters
from millrace.formats.cloudformation.resolver import Resolver
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.surroundings import Surroundings
from millrace.formats.cloudformation.trouble import Unresolved, unknown_here, wrong
from millrace.formats.nodes import node

NO_VALUE = "AWS::NoValue"
FUNCTION_TYPES = ("AWS::Lambda::Function", "AWS::Serverless::Function")


class Stack:
    """A template in its surroundings; its faults go into `faults` as values are asked for.

    `template` is a mapping with Parameters, Mappings, Conditions, Resources and Outputs, each of which may be left out.
    `generated` are the logical ids of resources that a translator made.
    """

    def __init__(
        self, template: Node, surroundings: Surroundings, faults: list[Fault], generated: Collection[str] = ()
    ) -> None:
        self.template = template
        self.surroundings = surroundings
        self._generated = generated
        self._faults = faults
        self._open: list[tuple[str, str]] = []
        self._names: dict[str, str] = {}
        self._conditions: dict[str, bool] = {}
        self._asked: set[str] = set()
        self._resolver = Resolver(self, FUNCTIONS, faults)
        self.parameters = read_parameters(
            template.child("Parameters"), surroundings.parameters, dict(self._stored()), faults
        )

    def resolve(self, found: Node) -> Node:
        """A value without intrinsic functions; AWS::NoValue by itself is null."""
        return self._resolver.resolve(found) or Node(None, found.place, found.key_place)

    @cached_property
    def resources(self) -> dict[str, Resource]:
        """The resources whose conditions hold, by logical id, their properties resolved."""
        return {name: self._resource(name, found) for name, found in self._declared.items() if self._exists(name)}

    @cached_property
    def outputs(self) -> dict[str, Node]:
        """The values of the outputs whose conditions hold."""
        found = {}
        for name, output in _entries(self.template, "Outputs", self._faults):
            value = output.child("Value")
            if value is not None and self._allowed(output):
                found[name] = self.resolve(value)
        return found

    def name_of(self, logical_id: str) -> str:
        """What a resource is called in AWS; one whose name leads back to itself is called as if it had none."""
        if logical_id not in self._names:
            try:
                with Opened(self._open, ("the name of", logical_id), self._declared[logical_id]):
                    self._names[logical_id] = self._name(logical_id)
            except Unresolved as trouble:
                self._resolver.note(trouble)
                return default_name(self._type(logical_id), logical_id, self.surroundings.stack, fifo=False)
        return self._names[logical_id]

    def arn_of(self, logical_id: str) -> str:
        """A resource's ARN, empty where its type has none that is known here."""
        identity = identity_of(self._type(logical_id))
        return "" if identity.arn is None else identity.arn(self._named(logical_id))

    def find(self, kind: str, name: str) -> Resource | None:
        """The resource of a type that is called so in AWS."""
        return next((each for each in self.of(kind) if self.name_of(each.logical_id) == name), None)

    def of(self, *kinds: str) -> Iterator[Resource]:
        """The resources of some types."""
        return (each for each in self.resources.values() if each.type in kinds)

    def unknown_parameters(self) -> Iterator[Fault]:
        """A fault for each --parameter that is neither the template's nor an import; ask when all is resolved."""
        for name in self.surroundings.parameters:
            if name not in self.parameters and name not in self._asked:
                near = nearest(name, self.parameters)
                what = f"the template has no parameter {name}"
                yield Fault(Place(f"--parameter {name}"), what, one_of(list(self.parameters), near), near=near)

    def reference(self, name: str, at: Node) -> Node | None:
        """What Ref gives: a parameter, a pseudo-parameter or a resource. Raises Unresolved."""
        if name == NO_VALUE:
            return None
        if name in self.parameters:
            return self.parameters[name]
        pseudo = self.surroundings.pseudo_parameters
        if name in pseudo:
            return node(pseudo[name], at)
        if name in self._declared:
            self._check_exists(name, at)
            return node(identity_of(self._type(name)).ref(self._named(name)), at)
        if (function := self._versioned(name)) is not None:
            return node(self.arn_of(function), at)
        known = [*self.parameters, *self._declared, *pseudo]
        what = f"no parameter and no resource is called {name}"
        raise wrong(at, what, near=nearest(name, known), got="")

    def attribute(self, logical_id: str, name: str, at: Node) -> Node:
        """What Fn::GetAtt gives. Raises Unresolved."""
        if logical_id not in self._declared:
            raise wrong(at, f"no resource is called {logical_id}", near=nearest(logical_id, self._declared), got="")
        self._check_exists(logical_id, at)
        if (function := self._versioned(f"{logical_id}.{name}")) is not None:
            return node(self.arn_of(function), at)
        kind = self._type(logical_id)
        attributes = identity_of(kind).attributes
        if name in attributes:
            if (kind, name) == ("AWS::DynamoDB::Table", "StreamArn"):
                self._check_stream(logical_id, at)
            return node(attributes[name](self._named(logical_id)), at)
        if kind in IDENTITIES and attributes:
            raise wrong(at, f"{kind} has no attribute {name}", one_of(list(attributes)), near=nearest(name, attributes))
        stand_in = f"{logical_id}.{name}"
        raise unknown_here(
            at, f"{name} of {logical_id} ({kind}) is known to AWS alone: {stand_in!r} stands in", stand_in
        )

    def condition(self, name: str, at: Node) -> bool:
        """Whether a condition holds. Raises Unresolved."""
        if name not in self._conditions:
            section = self.template.child("Conditions")
            declared = section.value if section is not None and isinstance(section.value, dict) else {}
            if name not in declared:
                raise wrong(at, f"no condition is called {name}", near=nearest(name, declared), got="")
            with Opened(self._open, ("the condition", name), at):
                self._conditions[name] = holds(self._resolver, declared[name])
        return self._conditions[name]

    def mapped(self, steps: list[str], at: Node) -> Node | None:
        """A value of the Mappings. Raises Unresolved where no mapping is called so."""
        section = self.template.child("Mappings")
        found: Node | None = section
        names = list(section.value) if section is not None and isinstance(section.value, dict) else []
        if steps[0] not in names:
            raise wrong(at, f"no mapping is called {steps[0]}", one_of(names), near=nearest(steps[0], names), got="")
        for step in steps:
            found = None if found is None else found.child(step)
        return found

    def imported(self, name: str, at: Node) -> Node:
        """What another stack exports, as it was said with --parameter. Raises Unresolved."""
        self._asked.add(name)
        if name in self.surroundings.parameters:
            return node(self.surroundings.parameters[name], at)
        what = f"what another stack exports as {name} is not known here: give it with --parameter {name}=VALUE"
        raise unknown_here(at, what, name)

    def kept(self, name: str) -> str | None:
        """What AWS keeps under a name such as `ssm:/shop/host`: as it was said, or as the template itself has it."""
        self._asked.add(name)
        if name in self.surroundings.parameters:
            return self.surroundings.parameters[name]
        service, _, key = name.partition(":")
        return dict(self._stored()).get(key) if service == "ssm" else None

    @cached_property
    def _declared(self) -> dict[str, Node]:
        found = {}
        for name, each in _entries(self.template, "Resources", self._faults):
            kind = each.child("Type")
            if kind is None or not isinstance(kind.value, str):
                self._faults.append(Fault(each.key_place, f"Resources.{name} has no Type", "such as AWS::SQS::Queue"))
            else:
                found[name] = each
        return found

    def _type(self, logical_id: str) -> str:
        return str(self._declared[logical_id].value["Type"].value)

    def _resource(self, logical_id: str, found: Node) -> Resource:
        written = found.child("Properties")
        properties = Node({}, found.place, found.key_place) if written is None else self.resolve(written)
        if not isinstance(properties.value, dict):
            if properties.value is not None:
                what = f"Resources.{logical_id}.Properties"
                self._faults.append(Fault(properties.place, what, "a mapping", properties.shown))
            properties = Node({}, found.place, found.key_place)
        return Resource(logical_id, self._type(logical_id), properties, found, logical_id in self._generated)

    def _named(self, logical_id: str) -> Named:
        value = ""
        if self._type(logical_id) == "AWS::SSM::Parameter":
            value = self._property_text(logical_id, "Value")
        return Named(logical_id, self.name_of(logical_id), self.surroundings, value)

    def _name(self, logical_id: str) -> str:
        kind = self._type(logical_id)
        if kind in ("AWS::Lambda::Url", "AWS::Lambda::Version"):
            key = "TargetFunctionArn" if kind == "AWS::Lambda::Url" else "FunctionName"
            return self._property_text(logical_id, key).rpartition("function:")[2]
        name_key = identity_of(kind).name_key
        if name_key and (said := self._property_text(logical_id, name_key)):
            return said
        fifo = any(self._property_text(logical_id, key) == "true" for key in ("FifoQueue", "FifoTopic"))
        return default_name(kind, logical_id, self.surroundings.stack, fifo=fifo)

    def _property_text(self, logical_id: str, key: str) -> str:
        properties = self._declared[logical_id].child("Properties")
        written = None if properties is None else properties.child(key)
        found = None if written is None else self._resolver.resolve(written)
        return "" if found is None or found.value is None else as_text(found, found, key)

    def _check_exists(self, logical_id: str, at: Node) -> None:
        if not self._exists(logical_id):
            condition = self._declared[logical_id].value["Condition"].value
            raise wrong(at, f"{logical_id} is left out, since its condition {condition} does not hold", got="")

    def _exists(self, logical_id: str) -> bool:
        return self._allowed(self._declared[logical_id])

    def _allowed(self, found: Node) -> bool:
        condition = found.child("Condition")
        if condition is None:
            return True
        if not isinstance(condition.value, str):
            self._faults.append(Fault(condition.place, "Condition", "a condition's name", condition.shown))
            return True
        try:
            return self.condition(condition.value, condition)
        except Unresolved as trouble:
            self._resolver.note(trouble)
            return True

    def _versioned(self, name: str) -> str | None:
        """The function of SAM's F.Alias and F.Version: there is one version of it, the function itself."""
        owner, _, what = name.partition(".")
        is_function = owner in self._declared and self._type(owner) in FUNCTION_TYPES
        return owner if is_function and what in ("Alias", "Version") else None

    def _check_stream(self, logical_id: str, at: Node) -> None:
        properties = self._declared[logical_id].child("Properties")
        if properties is None or properties.child("StreamSpecification") is None:
            raise wrong(at, f"{logical_id} has no stream", "a StreamSpecification in its properties", got="")

    def _stored(self) -> Iterator[tuple[str, str]]:
        """Names and values of the template's own SSM parameters, as far as they are written out."""
        section = self.template.child("Resources")
        for each in section.value.values() if section is not None and isinstance(section.value, dict) else ():
            kind, properties = each.child("Type"), each.child("Properties")
            if kind is None or properties is None or kind.value != "AWS::SSM::Parameter":
                continue
            name, value = properties.child("Name"), properties.child("Value")
            if name is not None and value is not None and isinstance(name.value, str) and isinstance(value.value, str):
                yield name.value, value.value


def _entries(template: Node, section: str, faults: list[Fault]) -> Iterator[tuple[str, Node]]:
    found = template.child(section)
    if found is None or found.value is None:
        return
    if not isinstance(found.value, dict):
        faults.append(Fault(found.place, section, "a mapping", found.shown))
        return
    entries: Mapping[str, Any] = found.value
    for name, each in entries.items():
        if isinstance(each.value, dict):
            yield name, each
        else:
            faults.append(Fault(each.place, f"{section}.{name}", "a mapping", each.shown))
