"""`sample`: uniform random lines of a file of any size, in one pass."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from millrace.errors import MillraceError

_TABLES = (".csv", ".tsv")


def sample(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A text file of any size, or - for standard input.")],
    n: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines.")],
    seed: Annotated[int | None, typer.Option("--seed", help="The same seed draws the same lines again.")] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Keep the first line. Default: for .csv and .tsv.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Take .csv and .tsv line by line, even within a quoted field.")
    ] = False,
) -> None:
    """Print random lines of a file, each equally likely, in the file's order.

    One pass, and memory for the lines that are drawn only. In .csv and .tsv files the header is kept, and
    a row whose quoted field goes over several lines stays whole.
    """
    import random

    from millrace.feeds.sample import sample_lines

    is_table = Path(file).suffix.lower() in _TABLES
    keep = is_table if header is None else header
    rng = random.Random(seed)  # noqa: S311 - a sample is no secret
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb") as source:
            for line in sample_lines(source, file, n, header=keep, quoted=is_table and not raw, rng=rng):
                sys.stdout.buffer.write(line)
    except BrokenPipeError:
        raise  # `sample ... | head`: nothing is wrong with the file
    except IsADirectoryError:
        raise MillraceError(f"{file} is a folder", "give a text file") from None
    except OSError as error:
        raise MillraceError(f"{file}: {error.strerror}") from error
    sys.stdout.buffer.flush()
