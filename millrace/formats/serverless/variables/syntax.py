r"""The syntax of Serverless's variables: `${self:custom.x, opt:stage, 'dev'}` in a text → its parts.

Versions 1 to 3 differ in what they refuse; what any of them takes is taken here. `${AWS::Region}` and `${Queue.Arn}`
are CloudFormation's and stay text, as does what a backslash precedes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

MAX_NESTING = 16
_OPENING = re.compile(r"\$\{\s*(?=[A-Za-z][\w.-]*\s*(?:\(|:(?!:)))")
_SOURCE = re.compile(r"\s*([A-Za-z][\w.-]*)\s*(?=\(|:(?!:))")
_BARE = re.compile(r"[^,{}]*")
_CONSTANTS = {"true": True, "false": False, "null": None}


class SyntaxProblem(Exception):
    """A text whose variables cannot be told apart; the message says why."""


class Literal(msgspec.Struct, frozen=True):
    """A fallback that stands for itself; `bare` is a word without quotes, which Serverless refuses."""

    value: Parts | str | int | float | bool | None
    bare: bool = False


class Source(msgspec.Struct, frozen=True):
    """`kind(argument):address`; None where brackets or address are not there."""

    kind: str
    argument: Parts | None
    address: Parts | None


class Variable(msgspec.Struct, frozen=True):
    """What stands between `${` and `}`: choices in order, of which the first that has a value counts."""

    choices: tuple[Literal | Source, ...]
    written: str


Parts: TypeAlias = tuple["str | Variable", ...]


def parse(text: str) -> Parts:
    """The literal texts and the variables of a text, in order. Raises SyntaxProblem."""
    return _Parser(text).text("")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def text(self, ends: str) -> Parts:
        """Parts up to one of the characters in `ends`, which is not taken; all of the text where there are none."""
        parts: list[str | Variable] = []
        plain = ""
        while self._at < len(self._text) and self._text[self._at] not in ends:
            if not _OPENING.match(self._text, self._at):
                plain += self._plain(ends)
                continue
            parts += [plain] if plain else []
            plain = ""
            parts.append(self._variable())
        return (*parts, plain) if plain else tuple(parts)

    def _plain(self, ends: str) -> str:
        """The next of what is no variable: up to the next doubtful character, or CloudFormation's ${...} as a whole."""
        start = self._at
        if self._text.startswith("\\${", start):
            self._at += 3
            return "${"
        if self._text.startswith("${", start):
            close = self._text.find("}", start) if ends else start + 1
            self._at = max(close, start + 1) + 1
        else:
            self._at += 1
            while self._at < len(self._text) and self._text[self._at] not in f"$\\{ends}":
                self._at += 1
        return self._text[start : self._at]

    def _variable(self) -> Variable:
        start = self._at
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise SyntaxProblem(f"variables nested more than {MAX_NESTING} deep")
        opening = _OPENING.match(self._text, self._at)
        self._at = opening.end() if opening else self._at + 2
        choices = [*self._choices()]
        while self._skip(","):
            choices += self._choices()
        if not self._skip("}"):
            raise SyntaxProblem("a variable is not closed with }")
        self._depth -= 1
        return Variable(tuple(choices), self._text[start : self._at])

    def _skip(self, expected: str) -> bool:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        found = self._text.startswith(expected, self._at)
        self._at += len(expected) if found else 0
        return found

    def _choices(self) -> Sequence[Literal | Source]:
        """The next choice; those of a nested variable count as if they stood here."""
        self._skip("")
        if _OPENING.match(self._text, self._at):
            return self._variable().choices
        for quote in "'\"":
            if self._skip(quote):
                return [Literal(self._quoted(quote) or "")]
        if match := _SOURCE.match(self._text, self._at):
            self._at = match.end()
            return [self._source(match[1])]
        word = ""
        if match := _BARE.match(self._text, self._at):
            word = match[0].strip()
            self._at = match.end()
        return [_constant(word)]

    def _quoted(self, quote: str) -> Parts:
        parts = self.text(quote)
        if not self._skip(quote):
            raise SyntaxProblem(f"a text in {quote} quotes is not closed")
        return parts

    def _source(self, kind: str) -> Source:
        argument = address = None
        if self._skip("("):
            argument = self._word(")")
            if not self._skip(")"):
                raise SyntaxProblem(f"{kind}( is not closed with )")
        if self._skip(":"):
            address = self._word(",}")
        return Source(kind, argument, address)

    def _word(self, ends: str) -> Parts:
        """What stands before one of the `ends`, with quotes around it or without."""
        self._skip("")
        for quote in "'\"":
            if self._skip(quote):
                return self._quoted(quote)
        return _stripped(self.text(ends))


def _constant(word: str) -> Literal:
    if not word:
        raise SyntaxProblem("nothing stands where a source or a fallback should")
    if word in _CONSTANTS:
        return Literal(_CONSTANTS[word])
    if re.fullmatch(r"[+-]?\d{1,18}", word):
        return Literal(int(word))
    if re.fullmatch(r"[+-]?\d{1,18}\.\d{1,18}", word):
        return Literal(float(word))
    return Literal(word, bare=True)


def _stripped(parts: Parts) -> Parts:
    """Parts without the spaces at both ends."""
    trimmed = list(parts)
    if trimmed and isinstance(trimmed[0], str):
        trimmed[0] = trimmed[0].lstrip()
    if trimmed and isinstance(trimmed[-1], str):
        trimmed[-1] = trimmed[-1].rstrip()
    return tuple(part for part in trimmed if part != "")
