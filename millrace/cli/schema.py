"""`schema`: what an editor needs to complete and check millrace.yml."""

from __future__ import annotations

import typer


def schema() -> None:
    """Print the JSON Schema (2020-12) of millrace.yml.

    Point an editor at it: `millrace schema > millrace.schema.json`, and as the first line of millrace.yml
    `# yaml-language-server: $schema=millrace.schema.json`.
    """
    import json

    from millrace.config.jsonschema import project_schema

    typer.echo(json.dumps(project_schema(), indent=2))
