"""What each kind of source holds: `self`, `opt`, `env`, `file` and others, and those that only the cloud knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from millrace.config.faults import nearest, one_of
from millrace.config.surrogates import joined
from millrace.config.tree import Node
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import text
from millrace.formats.serverless.variables.answers import Ask, Known, Missing, as_text, stand_in
from millrace.formats.serverless.variables.constructs import reference
from millrace.formats.serverless.variables.files import Files

VARIABLE_KEYS: Keys = {
    "self": Key("yes", "the file itself, by a dotted path"),
    "opt": Key("yes", "--stage and --parameter; stage and region have defaults"),
    "env": Key("yes", "environment variables, and .env with useDotenv"),
    "sls": Key("partly", "stage and instanceId"),
    "file": Key("partly", "YAML, JSON and text below the project's folder; JavaScript is not run"),
    "param": Key("yes", "--parameter, params and stages"),
    "aws": Key("yes", "accountId, region, partition"),
    "strToBool": Key("yes"),
    "construct": Key("yes", "queues, storage and tables of serverless-lift"),
    "cf": Key("partly", "--parameter cf:STACK.OUTPUT=VALUE, a fallback, or a readable stand-in"),
    "ssm": Key("partly", "--parameter ssm:/PATH=VALUE, a fallback, or a readable stand-in"),
    "s3": Key("partly", "--parameter s3:BUCKET/KEY=VALUE, a fallback, or a readable stand-in"),
    "git": Key("partly", "as ssm"),
    "output": Key("partly", "as ssm"),
    "state": Key("partly", "as ssm"),
    "terraform": Key("partly", "as ssm"),
    "vault": Key("partly", "as ssm"),
    "doppler": Key("partly", "as ssm"),
}
_DECRYPTION = re.compile(r"~(?:true|false|split|raw)$")
DEFAULT_STAGE = "dev"
DEFAULT_REGION = "us-east-1"


class Tree(Protocol):
    """The file as its sources see it: places in it are looked up with the variables on the way filled in."""

    @property
    def root(self) -> Node: ...

    def look_up(self, start: Node, path: str, ask: Ask) -> Node | Missing:
        """What stands at a dotted path below a node."""
        ...

    def setting(self, *path: str) -> Node | None:
        """A scalar of the file, None where it is not there or is just being looked up."""
        ...


Answer = Node | Missing


class Sources:
    """Answers what variables ask."""

    def __init__(self, known: Known, files: Files) -> None:
        self._known = known
        self._files = files
        self._kinds: Mapping[str, Callable[[Ask, Tree], Answer]] = {
            "self": self._self,
            "opt": self._opt,
            "env": self._env,
            "sls": self._sls,
            "file": self._file,
            "param": self._param,
            "aws": self._aws,
            "construct": self._construct,
            "strToBool": _str_to_bool,
        }

    def answer(self, ask: Ask, tree: Tree) -> Answer:
        """What a source holds."""
        kind = ask.kind.partition(".")[0]  # cf.eu-west-1: of version 1 is cf(eu-west-1): of version 3
        if kind in self._kinds:
            return self._kinds[kind](ask, tree)
        ask = ask._replace(address=_without_decryption(ask.address))
        if (given := self._known.parameters.get(f"{kind}:{ask.key}")) is not None:
            return text(given, ask.site)
        what = f"only the cloud knows ${{{ask.shown}}}"
        if kind not in VARIABLE_KEYS:
            what = f"${{{ask.shown}}} has a source that millrace does not know"
        hint = f"--parameter '{kind}:{ask.shown.partition(':')[2]}=VALUE', or a fallback after a comma"
        near = nearest(kind, VARIABLE_KEYS) if kind not in VARIABLE_KEYS else ""
        return Missing(what, hint, near, stand_in(ask))

    def stage(self, tree: Tree) -> str:
        """The stage: as said, as the provider has it, or dev."""
        return self._known.stage or _setting(tree, "stage") or DEFAULT_STAGE

    def region(self, tree: Tree) -> str:
        """The region: as said, as the provider has it, or Serverless's own."""
        return self._known.parameters.get("region") or _setting(tree, "region") or DEFAULT_REGION

    def _self(self, ask: Ask, tree: Tree) -> Answer:
        said = {"provider.stage": self._known.stage, "provider.region": self._known.parameters.get("region")}
        if given := said.get(ask.key):
            return text(given, ask.site)
        if ask.key in ("service", "service.name"):
            return self._service(ask, tree)
        found = tree.look_up(tree.root, ask.key, ask)
        if isinstance(found, Missing) and ask.key in said:
            return text(DEFAULT_STAGE if ask.key.endswith("stage") else DEFAULT_REGION, ask.site)
        return found

    def _service(self, ask: Ask, tree: Tree) -> Answer:
        """The service's name, whether it is written as a text or as a mapping."""
        found = tree.look_up(tree.root, "service", ask)
        if isinstance(found, Node) and isinstance(found.value, dict):
            return tree.look_up(found, "name", ask)
        return found

    def _opt(self, ask: Ask, tree: Tree) -> Answer:
        if ask.key == "stage" and self._known.stage is not None:
            return text(self._known.stage, ask.site)
        if (given := self._known.parameters.get(ask.key)) is not None:
            return text(given, ask.site)
        if ask.key in ("stage", "region"):
            taken = self.stage(tree) if ask.key == "stage" else self.region(tree)
            expected = "--stage NAME" if ask.key == "stage" else "--parameter region=NAME"
            return Missing(
                f"${{opt:{ask.key}}} was not said: {taken} is taken", expected, instead=text(taken, ask.site)
            )
        near = nearest(ask.key, self._known.parameters)
        return Missing(f"the option of ${{{ask.shown}}} was not said", "--parameter NAME=VALUE, or a fallback", near)

    def _env(self, ask: Ask, tree: Tree) -> Answer:
        value = self._known.environment.get(ask.key)
        if value is None:
            return Missing(
                f"the environment variable of ${{{ask.shown}}} is not set", "it to be set, or a fallback after a comma"
            )
        if not joined(value)[1]:
            return Missing(f"the environment variable of ${{{ask.shown}}} is not UTF-8", "text")
        return Node(value, ask.site.place, ask.site.key_place, written=f"${{{ask.shown}}}")

    def _sls(self, ask: Ask, tree: Tree) -> Answer:
        if ask.key == "stage":
            return text(self.stage(tree), ask.site)
        if ask.key == "instanceId":
            return text("millrace", ask.site)  # there it is random for each command, so nothing can rely on it
        known = ("stage", "instanceId")
        return Missing(f"${{{ask.shown}}} is unknown", one_of(known), nearest(ask.key, known))

    def _file(self, ask: Ask, tree: Tree) -> Answer:
        found = self._files.get(ask)
        if isinstance(found, Missing) or not ask.key:
            return found
        return tree.look_up(found, ask.key, ask)

    def _param(self, ask: Ask, tree: Tree) -> Answer:
        if (given := self._known.parameters.get(ask.key)) is not None:
            return text(given, ask.site)
        stage = self.stage(tree)
        ways = [f"params.{stage}", "params.default", f"stages.{stage}.params", "stages.default.params"]
        for way in ways:
            found = tree.look_up(tree.root, f"{way}.{ask.key}", ask)
            if isinstance(found, Node):
                return found
        return Missing(f"${{{ask.shown}}} is nowhere", f"params.{stage}, params.default, or --parameter NAME=VALUE")

    def _aws(self, ask: Ask, tree: Tree) -> Answer:
        values = {"accountId": self._known.account, "region": self.region(tree), "partition": "aws"}
        if ask.key in values:
            return text(values[ask.key], ask.site)
        return Missing(f"${{{ask.shown}}} is unknown", one_of(list(values)), nearest(ask.key, values))

    def _construct(self, ask: Ask, tree: Tree) -> Answer:
        return reference(ask, tree.look_up(tree.root, f"constructs.{ask.key.partition('.')[0]}.type", ask))


def _without_decryption(address: Node) -> Node:
    """An address without the `~true` by which version 1 asks for a parameter in the clear."""
    written = None if address.written is None else _DECRYPTION.sub("", address.written)
    return Node(_DECRYPTION.sub("", as_text(address.value)), address.place, address.key_place, written)


def _setting(tree: Tree, name: str) -> str:
    found = tree.setting("provider", name)
    return "" if found is None else as_text(found.value)


def _str_to_bool(ask: Ask, tree: Tree) -> Answer:
    """true, 1 and their like; false, 0, null and nothing at all. Source: "String to Boolean" of Serverless's docs."""
    said = "" if ask.argument is None else as_text(ask.argument.value).lower()
    if said in ("true", "1", "false", "0", "null", ""):
        return Node(said in ("true", "1"), ask.site.place, ask.site.key_place)
    return Missing("${strToBool(...)} got something else", "true, 1, false, 0 or null")
