"""A stage's settings → a project: the application, its environment, and what all its functions share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from millrace.config.faults import Fault
from millrace.config.tree import Node
from millrace.formats.arns import Arn, parse_arn
from millrace.formats.keys import Keys, examine
from millrace.formats.nodes import append, mapping, put
from millrace.formats.reader import Draft
from millrace.formats.zappa.keys import ZAPPA_CORS_KEYS, ZAPPA_KEYS
from millrace.symbols import file_of, problem, suggestion

APPLICATION = "app"
_TIMEOUT_S = 30
_MEMORY_MB = 512
_PATHS = ("/", "/{proxy+}")
_LOG_LEVEL = "AWS_LAMBDA_LOG_LEVEL"  # which sets the root logger's, as Zappa does with its own setting
_SECRET = re.compile(r"SECRET|TOKEN|PASSW(OR)?D|CREDENTIAL|(API|ACCESS|PRIVATE|SIGNING)_?KEY|CLIENT_ID", re.I)


class StageReader:
    """Reads a stage of a Zappa project into a draft; its events are read behind it (events.py)."""

    def __init__(self, stage: str, settings: Node, root: Path, draft: Draft) -> None:
        self.settings = settings
        self.tree = mapping(settings.place)
        self._stage = stage
        self._root = root
        self._draft = draft
        self.lambda_name = ""

    def read(self) -> None:
        """Fill the draft: its tree, and what is not understood or wrong."""
        self.examine(self.settings, ZAPPA_KEYS, self._stage)
        self._draft.tree = self.tree
        name = self.get("project_name")
        project = str(name.value) if name is not None else slug(self._root.name)[:15]
        put(self.tree, ["service"], slug(project) or "app", name or self.settings)
        put(self.tree, ["stage"], self._stage, self.settings)
        self.lambda_name = slug(f"{project}-{self._stage}")
        self._read_aws()
        self._read_environment(project)
        put(self.tree, ["functions"], {}, self.settings)
        self._read_application()
        self._hint_at_secrets()

    def get(self, key: str) -> Node | None:
        """A setting, None where it is left out or empty."""
        node = self.settings.value.get(key)
        return None if node is None or node.value is None else node

    def say(
        self, node: Node, what: str, expected: str = "", got: str = "", severity: Literal["error", "warning"] = "error"
    ) -> None:
        """A fault or warning at a node."""
        self._draft.faults.append(Fault(node.place, what, expected, got, severity=severity))

    def examine(self, node: Node, known: Keys, where: str) -> None:
        """Count a mapping's keys and warn of those that are not, or not wholly, understood."""
        examine(self._draft, node, known, where)

    def add_function(self, name: str, kind: str, target: str, like: Node) -> Node:
        """A function with all that the functions of a Zappa project share; its code is looked for."""
        function = put(self.tree, ["functions", name], {}, like)
        put(function, [kind], target, like)
        put(function, ["name"], self.lambda_name, like)
        put(function, ["events"], [], like)
        self._put(function, "timeout", "timeout_seconds", _TIMEOUT_S, "s")
        self._put(function, "memory", "memory_size", _MEMORY_MB, "MiB")
        put(function, ["asynchronous"], {}, like)
        if (dead := self.get("dead_letter_arn")) is not None:
            self._read_dead_letter(function, dead)
        return function

    def check_path(self, target: Node, where: str) -> bool:
        """Whether a setting is a dotted path that may lead to code; a fault says what was tried and what would work."""
        if not isinstance(target.value, str) or not target.value:
            self.say(target, where, "a dotted path such as api.app.process", target.shown)
            return False
        if why := problem(target.value, self._root):
            better = suggestion(target.value, self._root)
            expected = "" if better else "a dotted path from this folder, such as api.app.process"
            told = f"{where} leads nowhere: {why}" + (f"; {better}" if better else "")
            self.say(target, told, expected, repr(target.value))
        return "." in target.value

    @property
    def timeout_s(self) -> float:
        """The functions' time limit."""
        node = self.get("timeout_seconds")
        return float(node.value) if node is not None and isinstance(node.value, int | float) else _TIMEOUT_S

    def _put(self, function: Node, key: str, setting: str, default: int, unit: str) -> None:
        """A number with its unit; what is no number is left for the schema to refuse at its place."""
        node = self.get(setting)
        value = default if node is None else node.value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        put(function, [key], f"{value}{unit}" if is_number else value, node or self.settings)

    def _read_aws(self) -> None:
        region, account = self.get("aws_region"), self._account()
        put(self.tree, ["aws"], {}, region or self.settings)
        if region is not None:
            put(self.tree, ["aws", "region"], region.value, region)
        if account is not None:
            put(self.tree, ["aws", "account"], *account)

    def _account(self) -> tuple[str, Node] | None:
        """The account that the events' ARNs name, so that the ARNs here are the same."""
        events = self.get("events")
        for event in events.value if events is not None and isinstance(events.value, list) else []:
            source = event.child("event_source")
            node = source.child("arn") if source is not None else None
            arn = parse_arn(str(node.value)) if node is not None else None
            if node is not None and arn is not None and re.fullmatch(r"\d{12}", arn.account):
                return arn.account, node
        return None

    def _read_environment(self, project: str) -> None:
        own = {"SERVERTYPE": "AWS Lambda", "FRAMEWORK": "Zappa", "PROJECT": project, "STAGE": self._stage}
        # Zappa's own default, DEBUG, has every SDK tell each of its steps.
        put(self.tree, ["environment"], {**own, _LOG_LEVEL: "INFO"}, self.settings)
        if (level := self.get("log_level")) is not None and level.value is not None:
            put(self.tree, ["environment", _LOG_LEVEL], str(level.value).upper(), level)
        for key in ("aws_environment_variables", "environment_variables"):  # the later one is the stronger
            for name, value in self._variables(key).items():
                self.tree.value["environment"].value[name] = value

    def _variables(self, key: str) -> dict[str, Node]:
        node = self.get(key)
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self.say(node, key, "a mapping of names and values", node.shown)
            return {}
        return {name: value for name, value in node.value.items() if value.value is not None}

    def _hint_at_secrets(self) -> None:
        """Zappa sets environment_variables in its handler: Lambda's own environment, and its console, have them not."""
        known = self._variables("aws_environment_variables")
        for name, value in self._variables("environment_variables").items():
            if name not in known and _SECRET.search(name):
                what = (
                    f"{name} is set for the application alone: Zappa puts environment_variables into os.environ when "
                )
                what += "its handler starts, so Lambda's own environment has it not (here both have it)"
                hint = f"aws_environment_variables, where anything but the application needs {name}"
                self._draft.faults.append(Fault(value.key_place, what, hint, severity="warning"))

    def _read_application(self) -> None:
        target = self._application()
        if target is None:
            return
        function = self.add_function(APPLICATION, "wsgi", target.value, target)
        if (about := self.get("lambda_description")) is not None:
            put(function, ["description"], about.value, about)
        enabled = self.get("apigateway_enabled")
        if enabled is not None and enabled.value is False:
            return
        route = self._route()
        for path in _PATHS:
            append(function, ["events"], {"http": {"method": "ANY", "path": path, "payload": "v1", **route}}, target)

    def _application(self) -> Node | None:
        """The application's dotted path: app_function, or what Django's own wsgi.py holds."""
        target = self.get("app_function") or self.get("app_module")
        settings = self.get("django_settings")
        if settings is not None and isinstance(settings.value, str):
            put(self.tree, ["environment", "DJANGO_SETTINGS_MODULE"], settings.value, settings)
            if target is None:
                target = self._django(settings)
            return target
        if target is not None and self.check_path(target, "app_function"):
            return target
        return None

    def _django(self, settings: Node) -> Node | None:
        """mysite.wsgi.application for mysite.settings, which every Django project has; some keep it further up."""
        package = str(settings.value).rpartition(".")[0]
        while package:
            if file_of(f"{package}.wsgi", self._root) is not None:
                return Node(f"{package}.wsgi.application", settings.place, settings.key_place)
            package = package.rpartition(".")[0]
        what = f"no wsgi.py beside {settings.value}, from which Django's application could be taken"
        self.say(settings, what, "one, or app_function: mysite.wsgi.application", settings.shown)
        return None

    def _route(self) -> dict[str, Any]:
        route: dict[str, Any] = {}
        asked, cors = self.get("api_key_required"), self.get("cors")
        if asked is not None and asked.value is True:
            put(self.tree, ["gateway", "api_keys", self.lambda_name], None, asked)
            route["key"] = Node(True, asked.place, asked.key_place)
        if cors is not None and cors.value is not False:
            route["cors"] = self._cors(cors)
        return route

    def _cors(self, cors: Node) -> Node:
        if not isinstance(cors.value, dict):
            return Node(cors.value, cors.place, cors.key_place)
        self.examine(cors, ZAPPA_CORS_KEYS, "cors")
        found = mapping(cors.place)
        for key, own in (("allowed_headers", "headers"), ("allowed_methods", "methods")):
            if (node := cors.child(key)) is not None:
                found.value[own] = node
        if (origin := cors.child("allowed_origin")) is not None:
            found.value["origins"] = Node([origin], origin.place, origin.key_place)
        return found

    def _read_dead_letter(self, function: Node, node: Node) -> None:
        arn = parse_arn(str(node.value))
        kind = {"sqs": "queue", "sns": "topic"}.get(arn.service, "") if arn is not None else ""
        if arn is None or not kind:
            if len(self.tree.value["functions"].value) == 1:  # told once
                self.say(node, "dead_letter_arn", "the ARN of a queue or a topic", node.shown)
            return
        (self.add_queue if kind == "queue" else self.add_topic)(arn, node)
        put(function, ["asynchronous", "dead_letter"], {kind: arn.name}, node)

    def add_queue(self, arn: Arn, like: Node) -> None:
        """A queue that is there already on AWS, of whose attributes the file says nothing: SQS's defaults."""
        if self.tree.child("queues") is not None and arn.name in self.tree.value["queues"].value:
            return
        lease = max(30.0, self.timeout_s)
        queue: dict[str, Any] = {"lease": f"{lease:g}s", "max_receives": "unlimited", "ttl": "4d"}
        if arn.name.endswith(".fifo"):
            queue["fifo"] = True
        put(self.tree, ["queues", arn.name], queue, like)

    def add_topic(self, arn: Arn, like: Node) -> None:
        """A topic that is there already on AWS."""
        put(self.tree, ["topics", arn.name], {"fifo": True} if arn.name.endswith(".fifo") else {}, like)


def slug(text: str) -> str:
    """A name as Zappa gives it to AWS: lower case, all but letters and digits one dash."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
