"""Write what is made from the code: config.md, cli.md and compatibility.md of docs/reference, and the table of brokers.

python docs/generate.py             # or: make reference
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from millrace import cli
from millrace.brokers.sqlite import SqliteBroker
from millrace.cli.registry import COMMANDS
from millrace.config.docs import config_page
from millrace.config.fleet import LARGE_BODY
from millrace.formats.docs import compatibility_page
from millrace.known_brokers import KNOWN_BROKERS

CHOOSING = Path(__file__).resolve().parent / "how-to" / "choose-a-broker.md"
REFERENCE = Path(__file__).resolve().parent / "reference"
_TABLE_BEGINS, _TABLE_ENDS = "<!-- made by `make reference` -->", "<!-- until here -->"
_CLAIMS = {
    "fifo": "order within message groups (`fifo`, `table:` events)",
    "ordered": "oldest first outside groups",
    "delay": "delays of puts",
    "ttl": "time to live",
    "dedupe": "knows repeated ids by itself; elsewhere the database does",
    "browsable": "`peek` shows all and changes nothing",
    "exact": "`queues` counts exactly",
    "recalls": "what a draining worker gives back is not counted as a try",
    "portable": "leases outlive the process that took them",
    "resumes": "a message that is moved here keeps its count of tries",
}
_COSTS = {  # facts of each broker's page, which says what they depend on
    "`kill -9` of the broker loses": {
        "embedded": "nothing",
        "RabbitMQ": "nothing, but see [a queue that is new](../reference/brokers/rabbitmq.md#what-may-be-lost)",
        "Redis and Valkey": "nothing with `appendonly yes`",
        "NATS JetStream": "nothing",
        "Kafka": "untested",
        "Amazon SQS": "nothing",
    },
    "a power loss there loses": {
        "embedded": "nothing",
        "RabbitMQ": "nothing",
        "Redis and Valkey": "1 to 2 s; nothing with `appendfsync always`",
        "NATS JetStream": "2 minutes; nothing with `sync_interval: always`",
        "Kafka": "untested",
        "Amazon SQS": "nothing",
    },
}
_OPENING = """\
# Command line

<!-- Made by `make reference` from the commands' own help: change it there. -->

Exit codes: 0 done, 1 failed, 2 wrong usage or project file, 130 interrupted. Tables go to standard output, notes and
errors to standard error; `--json` prints one JSON array of objects instead of a table. `millrace --install-completion`
installs completion for your shell.
"""


def pages() -> dict[str, str]:
    """The text of each page by its name."""
    return {"config.md": config_page(), "cli.md": cli_page(), "compatibility.md": compatibility_page()}


def cli_page() -> str:
    """The help of every command, under the headings of `millrace --help`."""
    parts = [_OPENING]
    for heading in dict.fromkeys(command.heading for command in COMMANDS.values()):
        parts.append(f"## {heading}\n")
        parts += [_command(name) for name, command in COMMANDS.items() if command.heading == heading]
    return "\n".join(parts)


def _command(name: str) -> str:
    text = f"### {name}\n\n{COMMANDS[name].help}\n\n{_help(name)}"
    below = getattr(cli.load_command(name), "commands", {})
    return text + "".join(f"\n#### {name} {each}\n\n{_help(name, each)}" for each in below)


def _help(*words: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        cli.run([*words, "--help"])
    lines = [line.rstrip() for line in printed.getvalue().strip().splitlines()]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def with_brokers(page: str) -> str:
    """The page on choosing a broker with its table made anew, between the two marks."""
    before, mark, rest = page.partition(_TABLE_BEGINS)
    _, end, after = rest.partition(_TABLE_ENDS)
    return f"{before}{mark}\n{broker_table()}{end}{after}"


def broker_table() -> str:
    """What each broker claims, a row for each claim."""
    kinds = {"embedded": SqliteBroker.capabilities} | {known.title: known.claims for known in KNOWN_BROKERS}
    schemes = ["left out", *(f"`{known.schemes[0]}://`" for known in KNOWN_BROKERS)]
    rows = [["", *kinds], ["---"] * (len(kinds) + 1), ["`broker:`", *schemes]]
    for feature, words in _CLAIMS.items():
        rows.append([words, *("yes" if getattr(claims, feature) else "no" for claims in kinds.values())])
    bodies = (min(claims.max_body or LARGE_BODY, LARGE_BODY) for claims in kinds.values())
    rows.append(
        ["bodies up to here travel in the queue, larger ones in `bodies`", *(f"{each:,} bytes" for each in bodies)]
    )
    rows += [[words, *(costs[title] for title in kinds)] for words, costs in _COSTS.items()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    os.environ["COLUMNS"] = "80"
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)
    CHOOSING.write_text(with_brokers(CHOOSING.read_text()))


if __name__ == "__main__":
    main()
