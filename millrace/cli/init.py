"""`init`: a project from a template, ready to run."""

from __future__ import annotations

import difflib
import re
import shutil
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from millrace.errors import ConfigError

TEMPLATES_FOLDER = Path(__file__).resolve().parent.parent / "templates"
_NAME = "service: my-app"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*")


class Template(NamedTuple):
    """What a template is, what it needs beyond millrace, and a command to try it with."""

    about: str
    extra: str
    trial: str


TEMPLATES = {
    "hello": Template(
        "the smallest: a class that greets",
        "",
        "curl -d Ada -H 'Prefer: wait=5' localhost:8400/hello",
    ),
    "image-classifier": Template(
        "image files in, labels out, with any ONNX model",
        "demo",
        "curl -F file=@samples/circle.png -H 'Prefer: wait=5' localhost:8400/images",
    ),
    "text-classifier": Template(
        "texts in, labels out, learnt from a file of examples",
        "",
        "curl -d 'You charged me twice' -H 'Prefer: wait=5' localhost:8400/mail",
    ),
    "scheduled-job": Template(
        "a job that runs each night and leaves a row",
        "",
        """millrace invoke take_stock --data '{"time": "2025-01-31T03:00:00Z"}'""",
    ),
}


def init(
    template: Annotated[
        str,
        typer.Argument(metavar="TEMPLATE", help=f"One of {', '.join(TEMPLATES)}; alone, the DIR of a hello project."),
    ],
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="A new or empty folder.")] = None,
) -> None:
    """Start a project from a template (hello, where only a DIR is given) in a new folder.

    hello: the smallest. image-classifier: any ONNX model. text-classifier: learns from a file of examples.
    scheduled-job: a row each night.
    """
    if folder is None:
        if template in TEMPLATES and template != "hello":
            raise ConfigError(f"where should the {template} project go?", f"millrace init {template} my-app")
        template, folder = "hello", Path(template)
    create(template, folder)
    typer.echo("\n".join(_next_steps(template, folder)))


def create(template: str, folder: Path) -> None:
    """Copy a template into a folder that is new or empty. Raises ConfigError when it cannot."""
    if template not in TEMPLATES:
        near = difflib.get_close_matches(template, TEMPLATES, 1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no template {template!r}{guess}", f"there is: {', '.join(TEMPLATES)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there and not empty", "name a new folder; nothing was written")
    try:
        shutil.copytree(TEMPLATES_FOLDER / template, folder, dirs_exist_ok=True, ignore=_LEFT_OUT)
        (folder / "gitignore").rename(folder / ".gitignore")
        file = folder / "millrace.yml"
        file.write_text(file.read_text().replace(_NAME, f"service: {_service_name(folder)}", 1))
    except OSError as error:
        raise ConfigError(
            f"cannot write {folder}: {error.strerror or error}", "name a folder you may write to"
        ) from None


def _service_name(folder: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-")
    return f"'{name}'" if name.isdecimal() else name or "my-app"


def _next_steps(template: str, folder: Path) -> list[str]:
    chosen = TEMPLATES[template]
    files = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    steps = [f"  cd {folder}"]
    if chosen.extra:
        steps.append(f"  pip install 'millrace[{chosen.extra}]'")
    steps.append("  millrace up")
    if chosen.trial.startswith("millrace"):
        steps.append(f"  {chosen.trial}")
        return [f"{folder}: {chosen.about} ({', '.join(files)})", "", *steps]
    return [
        f"{folder}: {chosen.about} ({', '.join(files)})",
        "",
        *steps,
        "",
        "and in another terminal",
        "",
        f"  {chosen.trial}",
    ]
