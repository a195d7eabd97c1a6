"""Names of resources as AWS writes them."""

from __future__ import annotations

from typing import Protocol

from millrace.wire import Spec


class Location(Protocol):
    """The region and the account of a resource: a replica's Spec, or a project's `aws:`."""

    @property
    def region(self) -> str: ...

    @property
    def account(self) -> str: ...


def arn(at: Location, service: str, resource: str) -> str:
    """`arn:aws:service:region:account:resource`."""
    return f"arn:aws:{service}:{at.region}:{at.account}:{resource}"


def function_name(spec: Spec) -> str:
    """What AWS calls the function: the name that the project file gives it for that, else its own."""
    return spec.name or spec.function


def function_arn(spec: Spec) -> str:
    """The function's own name, as `context.invoked_function_arn` carries it."""
    return arn(spec, "lambda", f"function:{function_name(spec)}")


def queue_arn(spec: Spec, queue: str, *, fifo: bool) -> str:
    """A queue's name; SQS wants the names of FIFO queues to end in `.fifo`."""
    return arn(spec, "sqs", queue if not fifo or queue.endswith(".fifo") else f"{queue}.fifo")
