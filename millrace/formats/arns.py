"""Amazon resource names: arn:partition:service:region:account:resource, taken apart."""

from __future__ import annotations

import msgspec

_KINDS = {  # what stands before the name in a resource, by service
    "lambda": ("function:", "layer:"),
    "dynamodb": ("table/",),
    "events": ("event-bus/", "rule/"),
    "logs": ("log-group:",),
    "iam": ("role/", "policy/"),
    "kinesis": ("stream/",),
    "states": ("stateMachine:",),
    "ssm": ("parameter",),  # whose names begin with the slash
}


class Arn(msgspec.Struct, frozen=True):
    """`resource` is all after the account; `kind` and `name` are its parts: `function` and `hello`, "" and `queue`."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @property
    def kind(self) -> str:
        """What kind of resource it is, as written before its name; empty for queues, topics and buckets."""
        return self._marker.rstrip(":/")

    @property
    def name(self) -> str:
        """The resource's own name: no `function:` and no qualifier, no `table/` and no stream, no key of an object."""
        name = self.resource.removeprefix(self._marker)
        if self.service in ("lambda", "logs"):
            return name.split(":")[0]
        if self.service in ("dynamodb", "s3"):
            return name.split("/")[0]
        return name.split("/")[-1] if self.kind == "rule" else name

    @property
    def _marker(self) -> str:
        return next((each for each in _KINDS.get(self.service, ()) if self.resource.startswith(each)), "")

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def parse_arn(text: str) -> Arn | None:
    """An ARN's parts; None where the text is no ARN."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[2] or not parts[5]:
        return None
    return Arn(*parts[1:])
