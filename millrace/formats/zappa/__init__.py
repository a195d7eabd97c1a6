"""zappa_settings: one Lambda function there, here a WSGI application and a function for each that an event names."""

from __future__ import annotations

from millrace.formats.reader import Draft, Request
from millrace.formats.zappa.events import EventsReader
from millrace.formats.zappa.settings import chosen, read_settings
from millrace.formats.zappa.stage import StageReader


def read(request: Request) -> Draft:
    """A Zappa project's stage in millrace.yml's words. Raises ConfigError when the file cannot be read."""
    draft = Draft(None)
    root = read_settings(request, draft.faults)
    if root is None:
        return draft
    draft.stages = list(root.value)
    found = chosen(root, request.stage, draft.faults)
    if found is not None:
        name, settings = found
        stage = StageReader(name, settings, request.file.resolve().parent, draft)
        stage.read()
        EventsReader(stage).read()
    return draft
