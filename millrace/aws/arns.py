"""Names of resources as AWS writes them."""

from __future__ import annotations

from millrace.wire import Spec


def arn(spec: Spec, service: str, resource: str) -> str:
    """`arn:aws:service:region:account:resource` in the replica's region and account."""
    return f"arn:aws:{service}:{spec.region}:{spec.account}:{resource}"


def function_name(spec: Spec) -> str:
    """What AWS calls the function: the name that the project file gives it for that, else its own."""
    return spec.name or spec.function


def function_arn(spec: Spec) -> str:
    """The function's own name, as `context.invoked_function_arn` carries it."""
    return arn(spec, "lambda", f"function:{function_name(spec)}")


def queue_arn(spec: Spec, queue: str, *, fifo: bool) -> str:
    """A queue's name; SQS wants the names of FIFO queues to end in `.fifo`."""
    return arn(spec, "sqs", queue if not fifo or queue.endswith(".fifo") else f"{queue}.fifo")
