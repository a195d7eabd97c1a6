"""Names of objects that a bucket sink writes: `lake/{date}/{id}.json`, a bucket and a template for the key."""

from __future__ import annotations

from string import Formatter

KEY_FIELDS = {
    "id": "the message's id, quoted as in a URL",
    "function": "the function's name",
    "queue": "the queue's name",
    "date": "the day the message was sent (UTC), 2025-01-31",
    "year": "its year, four digits",
    "month": "its month, two digits",
    "day": "its day, two digits",
    "hour": "its hour (UTC), two digits",
}


def split(target: str) -> tuple[str, str]:
    """Bucket and key template (or pattern) of `lake/incoming/*.jpg`; the second is empty when there is none."""
    bucket, _, key = target.partition("/")
    return bucket, key


def problem(template: str) -> tuple[str, str]:
    """What is wrong with a key template and what it should be; empty texts when it is sound."""
    if not template:
        return "a key template is missing behind the bucket", "a bucket and a template such as lake/{date}/{id}.json"
    if any(part in {"", ".", ".."} for part in template.split("/")):
        return "a key has no empty, `.` or `..` parts", "a template such as {date}/{id}.json"
    try:
        fields = [
            (name, spec, conversion) for _, name, spec, conversion in Formatter().parse(template) if name is not None
        ]
    except ValueError as error:
        return f"the key template does not parse: {error}", "fields in braces such as {id}"
    for name, spec, conversion in fields:
        if name not in KEY_FIELDS or spec or conversion:
            return f"unknown field {{{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}}}", ""
    return "", ""


def names_every_message(template: str) -> bool:
    """Whether each message gets an object of its own."""
    return any(name == "id" for _, name, _, _ in Formatter().parse(template))
