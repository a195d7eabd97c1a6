"""The projects of examples/serverless, end to end and from outside: each form of a project gives the same results.

A form is the project file that is read: serverless.yml, template.yaml, Zappa's settings, or what `millrace convert`
makes of one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import needs_module
from pattern_checks import PATTERNS, SAM, SERVERLESS, ZAPPA
from pattern_parts import EXAMPLES, Site, copy, start

from millrace.config.schema import Project
from millrace.formats.load import examine, load

CONVERTED, CONVERTED_SAM, CONVERTED_ZAPPA = (f"{source} -> millrace.yml" for source in (SERVERLESS, SAM, ZAPPA))

pytestmark = pytest.mark.timeout(120)

FORMS = {
    "hello": (SERVERLESS, SAM, CONVERTED),
    "queue-to-queue": (SERVERLESS, SAM, CONVERTED, CONVERTED_SAM),
    "image-labels": (SERVERLESS, SAM),
    "timer-to-csv": (SERVERLESS, SAM, CONVERTED),
    "api-key": (SERVERLESS, SAM, CONVERTED_SAM),
    "partial-failures": (SERVERLESS, SAM, CONVERTED),
    "stream-aggregate": (SERVERLESS, SAM, CONVERTED),
    "zappa-sales-filter": (ZAPPA, CONVERTED_ZAPPA),
}


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The project, running in one form."""
    name, form = request.param
    needs_module(
        "moto", *(["samtranslator"] if SAM in form else []), *(["flask", "apig_wsgi"] if ZAPPA in form else [])
    )
    site = start(name, form, tmp_path)
    try:
        yield site
    finally:
        site.close()


@pytest.mark.parametrize(
    ("name", "site"),
    [pytest.param(name, (name, form), id=f"{name}-{form}") for name, forms in FORMS.items() for form in forms],
    indirect=["site"],
)
def test_it_does_the_same_in_each_form(name: str, site: Site, request: pytest.FixtureRequest) -> None:
    pattern = PATTERNS[name]
    pattern.check(site, *map(request.getfixturevalue, pattern.given))


def test_every_example_is_among_them() -> None:
    assert set(FORMS) == {folder.name for folder in EXAMPLES.glob("serverless/*/")} == set(PATTERNS) - {"digits"}


SAYS = {"api-key/serverless.yml": "nothing is throttled or counted", "api-key/template.yaml": "nothing is throttled"}


@pytest.mark.parametrize(
    "file", sorted(EXAMPLES.glob("serverless/*/*.y*ml")), ids=lambda file: "/".join(file.parts[-2:])
)
def test_there_is_little_to_say_of_these_projects(file: Path) -> None:
    if file.name == SAM:
        needs_module("samtranslator")
    found = examine(file)
    assert found.faults == []
    assert [fault.what.rpartition(": ")[2] for fault in found.warnings] == [
        said for name, said in SAYS.items() if name == "/".join(file.parts[-2:])
    ]
    assert found.keys - found.understood == len(found.warnings)


@pytest.mark.parametrize(
    "template", sorted(EXAMPLES.glob("serverless/*/template.yaml")), ids=lambda file: file.parent.name
)
def test_both_files_of_a_project_mean_the_same(template: Path) -> None:
    needs_module("samtranslator")
    one, other = load(template.with_name(SERVERLESS)), load(template)
    for section in ("queues", "tables", "buckets", "topics", "gateway"):
        assert getattr(one, section) == getattr(other, section), section
    assert meanings(one) == meanings(other)


def meanings(project: Project) -> dict[str, tuple[object, ...]]:
    """By their names on AWS, what functions do; how much time and memory they get by default differs between tools."""
    return {
        function.name: (
            function.handler,
            function.events,
            function.asynchronous,
            {**project.environment, **function.environment},
        )
        for function in project.functions.values()
    }


@pytest.mark.parametrize("form", [SERVERLESS, SAM])
def test_access_denied_is_told_before_the_deploy(form: str, tmp_path: Path) -> None:
    if form == SAM:
        needs_module("samtranslator")
    folder = copy("queue-to-queue", form, tmp_path / "source")
    text = (folder / form).read_text()
    (folder / form).write_text("\n".join(line for line in text.splitlines() if "sqs:SendMessage" not in line))
    (warning,) = examine(folder).warnings
    assert (Path(warning.place.source).name, warning.place.line) == ("index.py", 10)
    assert warning.what.endswith("would be refused with AccessDenied: its code calls sqs:SendMessage")
