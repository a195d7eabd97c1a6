"""`manifests container|systemd|k8s`: what a project needs to run elsewhere, written for it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from millrace.cli import group
from millrace.cli.options import Choice, chooses_project
from millrace.cli.output import note
from millrace.errors import ConfigError

if TYPE_CHECKING:
    from millrace.deploy import Plan

app = group("Write a container file, systemd units or Kubernetes manifests.")

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="Write the files into this folder instead of printing them."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Write over files that are there.")]


@app.command("container")
@chooses_project("overrides")
def container(
    choice: Choice,
    python: Annotated[str, typer.Option("--python", help="The Python of the image; else this one's.")] = "",
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Write a Containerfile and its .dockerignore.

    One image for every part of the project. A requirements.txt beside the project file is installed too. Build it with
    `podman build` or `docker build`.
    """
    import platform
    import re

    from millrace import __version__
    from millrace.deploy import container_files, plan_of

    version = python or ".".join(platform.python_version_tuple()[:2])
    if not re.fullmatch(r"3\.\d+(\.\d+)?", version):
        raise ConfigError(f"--python {version} is no version", "expected one such as 3.12")
    found = choice.load()
    has_requirements = (found.root / "requirements.txt").is_file()
    _write(
        container_files(plan_of(found), version=__version__, python=version, has_requirements=has_requirements),
        output,
        force,
    )


@app.command("systemd")
@chooses_project("overrides")
def systemd(
    choice: Choice,
    folder: Annotated[
        str | None,
        typer.Option(
            "--folder", metavar="DIR", help="Where the project lies on that machine; else where it lies here."
        ),
    ] = None,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Write systemd units.

    A target, the gateway, a worker for each function, and a sysusers.d file for their user. millrace is expected in
    .venv of the project's folder there, secrets in /etc/SERVICE.env.
    """
    from millrace.deploy import plan_of, unit_files

    found = choice.load()
    place = PurePosixPath(folder if folder is not None else found.root.resolve().as_posix())
    _write(unit_files(plan_of(found), place), output, force)


@app.command("k8s")
@chooses_project("overrides")
def kubernetes(
    choice: Choice,
    image: Annotated[str | None, typer.Option("--image", help="The image; else SERVICE:STAGE.")] = None,
    least: Annotated[int, typer.Option("--min-pods", min=0, help="Fewest pods of a function.")] = 1,
    most: Annotated[int, typer.Option("--max-pods", min=1, help="Most pods of a function.")] = 10,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Write Kubernetes manifests.

    The gateway with its Service, and a Deployment for each function that KEDA scales by the depth of its queues.
    Secrets are read from a Secret that you make; the head of the file says with what in it. No secret is written; a
    --database without user and password is, and so is such a --broker other than RabbitMQ.
    """
    from millrace.deploy import manifests_text, plain_addresses, plan_of

    if least > most:
        raise ConfigError(f"--min-pods {least} is more than --max-pods {most}")
    found = choice.load()
    plan = plan_of(found)
    text = manifests_text(
        plan,
        image=image or f"{plan.service}:{plan.stage}".lower().replace(" ", "-"),
        pods=(least, most),
        variables=plain_addresses(plan, choice.broker, choice.database),
    )
    _write({"kubernetes.yaml": text}, output, force)
    _warn(plan)


def _warn(plan: Plan) -> None:
    from millrace.deploy import has_scaler

    if plan.server is not None and not has_scaler(plan.server):
        note(f"no ScaledObject is written for {plan.server.kind.title}: workers have one pod each until you scale them")
    if not plan.has_database:
        note("without `database:` each pod keeps results and tables to itself, and loses them when it ends")


def _write(files: dict[str, str], output: Path | None, force: bool) -> None:
    """Print the files, each under its name where there are several, or write them. Raises ConfigError."""
    if output is None:
        for name, text in files.items():
            typer.echo((f"# ---- {name}\n" if len(files) > 1 else "") + text, nl=False)
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        there = [name for name in files if (output / name).exists()]
        if there and not force:
            raise ConfigError(f"{', '.join(there)}: there already in {output}", "--force writes over them")
        for name, text in files.items():
            (output / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write into {output}: {error.strerror or error}", "name a folder with --output"
        ) from None
    note(f"wrote {', '.join(files)} into {output}")
