"""CloudFormation's intrinsic functions: each takes its argument as written and gives its value.

Source: AWS CloudFormation User Guide, "Intrinsic function reference"; Length, ToJsonString and the default of FindInMap
are those of the transform AWS::LanguageExtensions.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from itertools import islice

from millrace.config.tree import Node
from millrace.formats.cloudformation.conditions import holds
from millrace.formats.cloudformation.parameters import HIDDEN
from millrace.formats.cloudformation.resolver import Function, Resolver
from millrace.formats.cloudformation.trouble import unknown_here, wrong
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import node

_VARIABLE = re.compile(r"\$\{(!?)([^{}]*)\}")
_ZONES = "abc"
_MOST_BLOCKS = 256
_LONGEST_SHOWN = 60

FUNCTION_KEYS: Keys = {
    "Ref": Key("yes"),
    "Fn::GetAtt": Key("yes", "names, ARNs and URLs; of types that are not known here a stand-in, with a warning"),
    "Fn::Sub": Key("yes"),
    "Fn::Join": Key("yes"),
    "Fn::Select": Key("yes"),
    "Fn::Split": Key("yes"),
    "Fn::FindInMap": Key("yes"),
    "Fn::If": Key("yes"),
    "Fn::Base64": Key("yes"),
    "Fn::Cidr": Key("yes"),
    "Fn::GetAZs": Key("partly", "three zones, a to c, whatever the region"),
    "Fn::ImportValue": Key("partly", "what another stack exports is given as --parameter NAME=VALUE"),
    "Fn::Length": Key("yes"),
    "Fn::ToJsonString": Key("yes"),
    "Fn::And": Key("yes"),
    "Fn::Or": Key("yes"),
    "Fn::Not": Key("yes"),
    "Fn::Equals": Key("yes"),
    "Fn::Transform": Key("no", "macros run at AWS alone"),
    "Fn::ForEach": Key("yes", "as Fn::ForEach::Name; written out before all else"),
}


def as_text(found: Node | None, at: Node, where: str) -> str:
    """A value as text, as CloudFormation joins it. Raises Unresolved for lists and mappings."""
    value = None if found is None else found.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise wrong(at, f"{where} takes text", got="nothing" if found is None else found.shown)


def _list(resolver: Resolver, argument: Node, where: str) -> list[Node]:
    found = resolver.resolve(argument)
    if found is None or not isinstance(found.value, list):
        raise wrong(argument, f"{where} takes a list", got=None if found is None else found.shown)
    items: list[Node] = found.value
    return items


def _parts(argument: Node, where: str, least: int, most: int, expected: str) -> list[Node]:
    if not isinstance(argument.value, list) or not least <= len(argument.value) <= most:
        raise wrong(argument, where, expected)
    return argument.value


def _text(resolver: Resolver, argument: Node, where: str) -> str:
    return as_text(resolver.resolve(argument), argument, where)


def _ref(resolver: Resolver, argument: Node) -> Node | None:
    if not isinstance(argument.value, str):
        raise wrong(argument, "Ref", "the name of a parameter or a resource")
    return resolver.scope.reference(argument.value, argument)


def _get_att(resolver: Resolver, argument: Node) -> Node:
    expected = "a resource and an attribute, as [Queue, Arn]"
    if isinstance(argument.value, str):
        logical_id, dot, name = argument.value.partition(".")
        if not dot:
            raise wrong(argument, "Fn::GetAtt", expected)
        return resolver.scope.attribute(logical_id, name, argument)
    first, *rest = _parts(argument, "Fn::GetAtt", 2, 3, expected)
    if not isinstance(first.value, str):
        raise wrong(first, "Fn::GetAtt", expected)
    name = ".".join(_text(resolver, each, "Fn::GetAtt") for each in rest)
    return resolver.scope.attribute(first.value, name, first)


def _sub(resolver: Resolver, argument: Node) -> Node:
    template, values = argument, {}
    if isinstance(argument.value, list):
        template, given = _parts(argument, "Fn::Sub", 2, 2, "a text, or a list of a text and a mapping")
        if not isinstance(given.value, dict):
            raise wrong(given, "Fn::Sub", "a mapping of names to values")
        values = given.value
    if not isinstance(template.value, str):
        raise wrong(template, "Fn::Sub", "a text with ${Name} in it")

    secret = False

    def fill(match: re.Match[str]) -> str:
        nonlocal secret
        literal, name = match[1], match[2].strip()
        if literal:
            return "${" + match[2] + "}"
        found = resolver.resolve(values[name]) if name in values else _named(resolver, name, template)
        secret = secret or _is_secret(found)
        return resolver.spend(as_text(found, template, f"${{{name}}} in Fn::Sub"), template)

    return _made(resolver.spend(_VARIABLE.sub(fill, template.value), template), template, secret)


def _named(resolver: Resolver, name: str, at: Node) -> Node | None:
    """What ${Name} or ${Name.Attribute} stands for in a text."""
    logical_id, dot, attribute = name.partition(".")
    return resolver.scope.attribute(logical_id, attribute, at) if dot else resolver.scope.reference(name, at)


def _is_secret(found: Node | None) -> bool:
    return found is not None and found.written is not None


def _made(text: str, at: Node, secret: bool) -> Node:
    """A text that was made; one with a secret in it is as little shown as the secret."""
    return Node(text, at.place, at.key_place, HIDDEN if secret else None)


def _join(resolver: Resolver, argument: Node) -> Node:
    separator, items = _parts(argument, "Fn::Join", 2, 2, "a separator and a list")
    found = _list(resolver, items, "Fn::Join")
    joined = _text(resolver, separator, "Fn::Join").join(as_text(item, argument, "Fn::Join") for item in found)
    return _made(resolver.spend(joined, argument), argument, any(map(_is_secret, found)))


def _select(resolver: Resolver, argument: Node) -> Node:
    which, items = _parts(argument, "Fn::Select", 2, 2, "an index and a list")
    index, found = _text(resolver, which, "Fn::Select"), _list(resolver, items, "Fn::Select")
    if not index.isdecimal() or len(index) > 6 or int(index) >= len(found):
        raise wrong(which, f"Fn::Select of a list of {len(found)}", "an index from 0", got=repr(index[:_LONGEST_SHOWN]))
    return found[int(index)]


def _split(resolver: Resolver, argument: Node) -> Node:
    separator, source = _parts(argument, "Fn::Split", 2, 2, "a separator and a text")
    between, text = _text(resolver, separator, "Fn::Split"), _text(resolver, source, "Fn::Split")
    if not between:
        raise wrong(separator, "Fn::Split", "a separator of at least one character")
    return node(resolver.spend(text, argument).split(between), argument)


def _find_in_map(resolver: Resolver, argument: Node) -> Node:
    first, second, third, *rest = _parts(argument, "Fn::FindInMap", 3, 4, "a mapping's name and two keys")
    steps = [_text(resolver, each, "Fn::FindInMap") for each in (first, second, third)]
    fallback = rest[0].child("DefaultValue") if rest else None
    found = resolver.scope.mapped(steps, argument) or fallback
    if found is None:
        raise wrong(argument, f"Mappings.{'.'.join(steps)} is not there", got="")
    return resolver.resolve(found) or node("", argument)


def _if(resolver: Resolver, argument: Node) -> Node | None:
    name, then, otherwise = _parts(argument, "Fn::If", 3, 3, "a condition's name and two values")
    if not isinstance(name.value, str):
        raise wrong(name, "Fn::If", "a condition's name")
    return resolver.resolve(then if resolver.scope.condition(name.value, name) else otherwise)


def _base64(resolver: Resolver, argument: Node) -> Node:
    text = _text(resolver, argument, "Fn::Base64")
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    return node(resolver.spend(encoded, argument), argument)


def _zones(resolver: Resolver, argument: Node) -> Node:
    region = _text(resolver, argument, "Fn::GetAZs")
    region = region or as_text(_named(resolver, "AWS::Region", argument), argument, "Fn::GetAZs")
    return node([resolver.spend(region + zone, argument) for zone in _ZONES], argument)


def _import(resolver: Resolver, argument: Node) -> Node:
    return resolver.scope.imported(_text(resolver, argument, "Fn::ImportValue"), argument)


def _cidr(resolver: Resolver, argument: Node) -> Node:
    expected = "a block, how many of it, and how many bits each"
    block, *rest = [_text(resolver, each, "Fn::Cidr") for each in _parts(argument, "Fn::Cidr", 2, 3, expected)]
    try:
        network = ipaddress.ip_network(block, strict=False)
        count, bits = int(rest[0]), int(rest[1]) if len(rest) > 1 else 8
        if not 1 <= count <= _MOST_BLOCKS:
            raise ValueError(count)
        found = [str(each) for each in islice(network.subnets(new_prefix=network.max_prefixlen - bits), count)]
    except ValueError:
        raise wrong(argument, "Fn::Cidr", expected, got=repr(block[:_LONGEST_SHOWN])) from None
    return node(found, argument)


def _length(resolver: Resolver, argument: Node) -> Node:
    return node(len(_list(resolver, argument, "Fn::Length")), argument)


def _to_json(resolver: Resolver, argument: Node) -> Node:
    found = resolver.resolve(argument)
    if found is None or not isinstance(found.value, dict | list):
        raise wrong(argument, "Fn::ToJsonString takes a mapping or a list")
    text = json.dumps(found.plain(), separators=(",", ":"), default=str)
    return node(resolver.spend(text, argument), argument)


def _truth(name: str) -> Function:
    return lambda resolver, argument: node(holds(resolver, node({name: argument}, argument)), argument)


def _elsewhere(name: str) -> Function:
    def tell(resolver: Resolver, argument: Node) -> Node:
        raise unknown_here(argument, f"{name}: {FUNCTION_KEYS[name].note}", name)

    return tell


FUNCTIONS: dict[str, Function] = {
    "Ref": _ref,
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::FindInMap": _find_in_map,
    "Fn::If": _if,
    "Fn::Base64": _base64,
    "Fn::Cidr": _cidr,
    "Fn::GetAZs": _zones,
    "Fn::ImportValue": _import,
    "Fn::Length": _length,
    "Fn::ToJsonString": _to_json,
    **{name: _truth(name) for name in ("Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals")},
    **{name: _elsewhere(name) for name in ("Fn::Transform", "Fn::ForEach")},
}
