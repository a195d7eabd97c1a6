"""`event`: a sample of what a handler is given, for `millrace invoke --event` and for tests."""

from __future__ import annotations

from typing import Annotated

import typer

from millrace.cli.output import print_json
from millrace.errors import MillraceError


def event(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="queue (sqs), fifo, http (httpapi), rest (apigateway), schedule, created (s3-put), removed "
            "(s3-delete), table (dynamodb), topic (sns), bus (eventbridge), push (pubsub).",
        ),
    ],
    body: Annotated[str, typer.Option("--body", "-b", help="The message, request body, row or detail.")] = "",
    name: Annotated[
        str, typer.Option("--name", "-n", help="The queue, table, bucket, topic, bus, or the path of a request.")
    ] = "",
    method: Annotated[str, typer.Option("--method", help="Of a request.")] = "POST",
    key: Annotated[str, typer.Option("--key", help="Of an object.")] = "incoming/cat.jpg",
    region: Annotated[str, typer.Option("--region", help="In ARNs.")] = "us-east-1",
    account: Annotated[str, typer.Option("--account", help="In ARNs.")] = "000000000000",
) -> None:
    """Print a sample event of a source as JSON.

    `millrace event sqs --body '{"pet": 7}' > event.json`, then `millrace invoke FUNCTION --event event.json`.
    """
    from millrace.aws.samples import ALIASES, SOURCES, Sample, sample
    from millrace.config.names import unknown

    chosen = ALIASES.get(source, source)
    if chosen not in SOURCES:
        raise MillraceError(unknown("source", source, [*SOURCES, *ALIASES]), "see `millrace event --help`")
    try:
        given = Sample(body=body, name=name, method=method.upper(), key=key, region=region, account=account)
        print_json(sample(chosen, given))
    except ValueError as error:
        raise MillraceError(f"--body: {error}") from None
