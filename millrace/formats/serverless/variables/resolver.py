"""Puts values in the place of variables, lazily: what nobody asks for is not looked up and cannot be wrong."""

from __future__ import annotations

from millrace.config.faults import Fault, nearest, one_of
from millrace.config.reading import MAX_BYTES, MAX_DEPTH, MAX_NODES
from millrace.config.tree import Node
from millrace.formats.nodes import text
from millrace.formats.serverless.variables.answers import Ask, Missing, as_text, safe
from millrace.formats.serverless.variables.pseudo import Pseudo
from millrace.formats.serverless.variables.sources import Sources
from millrace.formats.serverless.variables.syntax import Literal, Parts, Source, SyntaxProblem, Variable, parse

MAX_CHAIN = 32  # variables that wait for one another


class Resolver:
    """The file with its variables filled in; every node that goes out is a copy."""

    def __init__(self, root: Node, sources: Sources, faults: list[Fault], pseudo: Pseudo) -> None:
        self.root = root
        self._sources = sources
        self._faults = faults
        self.unanswered = 0  # variables that nothing here has a value for
        self._pseudo = pseudo
        self._values: dict[int, tuple[Node, Node]] = {}  # by id, with the node, so that the id stays its own
        self._hollow: dict[int, Node] = {}  # stand-ins and what a fault was told of
        self._open: set[int] = set()
        self._chain = 0
        self._nodes = 0
        self._characters = 0

    def resolve(self, node: Node) -> Node:
        """A copy of a node with every variable in and below it filled in."""
        try:
            return self._deep(node, set(), 0)
        except _TooMuch:
            limits = f"at most {MAX_NODES:,} values and {MAX_BYTES:,} characters"
            self._faults.append(Fault(node.place, "the variables make too much of this", limits))
            return Node(None, node.place, node.key_place)

    def section(self, name: str) -> Node | None:
        """A key of the file's top level, resolved; None where it is not there."""
        found = self.root.child(name)
        return None if found is None else self.resolve(found)

    @property
    def stage(self) -> str:
        """The stage that the variables speak of."""
        return self._sources.stage(self)

    @property
    def region(self) -> str:
        """The region that the variables speak of."""
        return self._sources.region(self)

    def setting(self, *path: str) -> Node | None:
        """A scalar of the file; None where it is not there, or is just being looked up."""
        node: Node | None = self.root
        for step in path:
            if node is None or id(node) in self._open:
                return None
            node = self._value(node).child(step)
        if node is None or id(node) in self._open:
            return None
        found = self._value(node)
        return None if isinstance(found.value, dict | list) else found

    def look_up(self, start: Node, path: str, ask: Ask) -> Node | Missing:
        """What stands at a dotted path below a node, itself filled in but not what is below it."""
        node = self._value(start)
        for step in path.split(".") if path else []:
            if id(node) in self._hollow:
                return Missing("", instead=node)
            index = int(step) if step.isdecimal() and len(step) < 9 and isinstance(node.value, list) else step
            below = node.child(index)
            if below is None:
                known = list(node.value) if isinstance(node.value, dict) else []
                near = "" if ask.address.written is not None else nearest(step, known)
                what = f"${{{ask.shown}}} leads nowhere"
                return Missing(what, one_of(known, near) if len(known) <= 8 else "", near)
            node = self._value(below)
        return node

    def _deep(self, raw: Node, above: set[int], depth: int) -> Node:
        node = self._value(raw)
        self._count(node)
        if not isinstance(node.value, dict | list):
            return self._pseudo.replace(Node(node.value, node.place, raw.key_place, node.written))
        key = id(node.value)
        if key in above or depth > MAX_DEPTH:
            what = "a variable puts this into itself" if key in above else "nested too deeply"
            self._faults.append(Fault(raw.place, what, "a way that ends"))
            return Node(None, raw.place, raw.key_place)
        above.add(key)
        if isinstance(node.value, dict):
            inside: object = {name: self._deep(child, above, depth + 1) for name, child in node.value.items()}
        else:
            inside = [self._deep(child, above, depth + 1) for child in node.value]
        above.discard(key)
        return Node(inside, node.place, raw.key_place)

    def _count(self, node: Node) -> None:
        self._nodes += 1
        self._characters += len(node.value) if isinstance(node.value, str) else 0
        if self._nodes > MAX_NODES or self._characters > MAX_BYTES:
            raise _TooMuch

    def _value(self, raw: Node) -> Node:
        """The node with its own variables filled in; where it is a mapping or a list, those below are not yet."""
        if not isinstance(raw.value, str) or "${" not in raw.value:
            return raw
        if id(raw) in self._values:
            return self._values[id(raw)][1]
        if id(raw) in self._open:
            return self._void(raw, "a variable that comes back to itself", "a way that ends")
        self._open.add(id(raw))
        found = self._text(raw)
        self._open.discard(id(raw))
        self._values[id(raw)] = (raw, found)
        return found

    def _text(self, raw: Node) -> Node:
        try:
            parts = parse(raw.value)
        except SyntaxProblem as problem:
            return self._void(raw, str(problem), "${source:address} or ${source:address, fallback}")
        return self._joined(parts, raw)

    def _joined(self, parts: Parts, site: Node) -> Node:
        """One variable as what it holds, several parts as a text."""
        if len(parts) == 1 and isinstance(parts[0], Variable):
            return self._variable(parts[0], site)
        values: list[str] = []
        written: list[str] = []
        secret = False
        for part in parts:
            found = text(part, site) if isinstance(part, str) else self._variable(part, site)
            if isinstance(found.value, dict | list):
                shown = part.written if isinstance(part, Variable) else ""
                found = self._void(site, f"{shown} within a text", "a text or a number", found.shown)
            values.append(as_text(found.value))
            written.append(safe(found))
            secret = secret or found.written is not None
            self._characters += len(values[-1])
            if self._characters > MAX_BYTES:
                raise _TooMuch
        return Node("".join(values), site.place, site.key_place, "".join(written) if secret else None)

    def _variable(self, variable: Variable, site: Node) -> Node:
        if self._chain == MAX_CHAIN:
            return self._void(site, f"more than {MAX_CHAIN} variables wait for one another", "a shorter way")
        self._chain += 1
        try:
            return self._first(variable, site)
        finally:
            self._chain -= 1

    def _first(self, variable: Variable, site: Node) -> Node:
        """What the first choice that has a value holds."""
        missing: list[Missing] = []
        null = False
        for choice in variable.choices:
            found = self._choice(choice, variable, site)
            if isinstance(found, Missing):
                missing.append(found)
            elif found.value is not None:
                return self._at(found, variable, site)
            elif id(found) in self._hollow:
                missing.append(Missing(""))
            else:
                null = True
        if null or not missing:
            return Node(None, site.place, site.key_place)
        return self._without(missing, site)

    def _without(self, missing: list[Missing], site: Node) -> Node:
        """Where no choice has a value: the stand-in of one, or nothing, and what is wrong is told."""
        told = next((each for each in missing if each.instead is not None), missing[0])
        self.unanswered += bool(told.what)
        if told.instead is None:
            return self._void(site, told.what, told.expected, near=told.near)
        if told.what:
            fault = Fault(site.place, told.what, told.expected, near=told.near, severity="warning")
            self._faults.append(fault)
        found = Node(told.instead.value, site.place, site.key_place, told.instead.written)
        self._hollow[id(found)] = found
        return found

    def _choice(self, choice: Literal | Source, variable: Variable, site: Node) -> Node | Missing:
        if isinstance(choice, Literal):
            return self._literal(choice, site)
        argument = None if choice.argument is None else self._joined(choice.argument, site)
        address = text("", site) if not choice.address else self._joined(choice.address, site)
        for each in (argument, address):
            if each is not None and isinstance(each.value, dict | list):
                return Missing(f"{variable.written}: a mapping or a list where a name should be", "a text")
        if id(address) in self._hollow and address.value is None:
            return Missing("")
        return self._sources.answer(Ask(choice.kind, argument, address, site), self)

    def _literal(self, literal: Literal, site: Node) -> Node:
        if isinstance(literal.value, tuple):
            return self._joined(literal.value, site)
        if literal.bare:
            what = f"the fallback {literal.value} has no quotes: it is taken as text"
            self._faults.append(Fault(site.place, what, f"'{literal.value}'", severity="warning"))
        return Node(literal.value, site.place, site.key_place)

    def _at(self, found: Node, variable: Variable, site: Node) -> Node:
        """What was found, where it is asked for: a scalar takes the asker's place, a mapping keeps its own."""
        if id(found) in self._hollow:
            return found
        if isinstance(found.value, dict | list):
            return Node(found.value, found.place, site.key_place)
        return Node(found.value, site.place, site.key_place, _with_fallback(found.written, variable))

    def _void(self, site: Node, what: str, expected: str = "", got: str = "", near: str = "") -> Node:
        if what:
            self._faults.append(Fault(site.place, what, expected, got, near))
        nothing = Node(None, site.place, site.key_place)
        self._hollow[id(nothing)] = nothing
        return nothing


class _TooMuch(Exception):
    pass


def _with_fallback(written: str | None, variable: Variable) -> str | None:
    """`${env:X}` with the plain fallback that stands behind it, in millrace.yml's words."""
    if written is None or len(variable.choices) != 2 or not written.startswith("${env:") or written.count("{") != 1:
        return written
    fallback = variable.choices[1]
    source = variable.choices[0]
    if not (isinstance(fallback, Literal) and isinstance(source, Source) and source.kind == "env"):
        return written
    parts = fallback.value if isinstance(fallback.value, tuple) else (as_text(fallback.value),)
    plain = "".join(part for part in parts if isinstance(part, str)) if all(isinstance(p, str) for p in parts) else ""
    return f"{written[:-1]}, {plain}}}" if plain and not set("{}\n") & set(plain) else written
