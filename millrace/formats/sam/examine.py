"""Which of a template's own words are understood: SAM's resources, their properties and events."""

from __future__ import annotations

from typing import Any

from millrace.config.faults import Fault, nearest
from millrace.config.tree import Node
from millrace.formats.cloudformation.values import entries, text_of
from millrace.formats.keys import Keys, examine
from millrace.formats.reader import Draft
from millrace.formats.sam.keys import (
    GLOBALS_KEYS,
    SAM_EVENT_KEYS,
    SAM_EVENT_PROPERTIES,
    SAM_PROPERTIES,
    SAM_RESOURCE_KEYS,
    TEMPLATE_KEYS,
)

SERVERLESS = "AWS::Serverless"


def examine_template(root: Node, draft: Draft) -> None:
    """Count and doubt the keys that stand in SAM's own words; the others are read by the contributors."""
    examine(draft, root, TEMPLATE_KEYS, "the template")
    examine(draft, root.child("Globals"), GLOBALS_KEYS, "Globals")
    for kind, shared in entries(root.child("Globals")):
        examine(draft, shared, SAM_PROPERTIES.get(f"{SERVERLESS}::{kind}", {}), f"Globals.{kind}")
    for name, resource in entries(root.child("Resources")):
        kind = text_of(resource.child("Type"))
        if kind.startswith(SERVERLESS):
            _count(draft, resource.child("Type") or resource, kind, SAM_RESOURCE_KEYS, name)
            if kind in SAM_PROPERTIES:
                examine(draft, resource.child("Properties"), SAM_PROPERTIES[kind], name)
            if kind == f"{SERVERLESS}::Function":
                _examine_events(draft, name, resource)


def leave_out_events(plain: dict[str, Any]) -> None:
    """Take out the events that never happen here and were told: the translator would make resources of them to tell."""
    for resource in plain["Resources"].values():
        properties = resource.get("Properties")
        events = properties.get("Events") if isinstance(properties, dict) else None
        if isinstance(events, dict):
            resource["Properties"]["Events"] = {
                name: event for name, event in events.items() if not _never_happens(event)
            }


def _never_happens(event: Any) -> bool:
    known = SAM_EVENT_KEYS.get(str(event.get("Type"))) if isinstance(event, dict) else None
    return known is not None and known.support == "no"


def _examine_events(draft: Draft, name: str, resource: Node) -> None:
    for event, declared in entries((resource.child("Properties") or resource).child("Events")):
        where, kind = f"{name}.Events.{event}", text_of(declared.child("Type"))
        _count(draft, declared.child("Type") or declared, kind, SAM_EVENT_KEYS, where)
        if kind in SAM_EVENT_PROPERTIES:
            examine(draft, declared.child("Properties"), SAM_EVENT_PROPERTIES[kind], where)


def _count(draft: Draft, at: Node, kind: str, known: Keys, where: str) -> None:
    key = known.get(kind)
    draft.keys += 1
    draft.understood += key is not None and key.support in ("yes", "nothing to do")
    if key is None:
        near = nearest(kind, known)
        what = f"{where}: {kind or 'no type'} is not understood"
        draft.faults.append(Fault(at.place, what, near=near, severity="warning"))
    elif key.support in ("partly", "no"):
        said = "is understood in part" if key.support == "partly" else "does nothing here"
        draft.faults.append(Fault(at.place, f"{where}: {kind} {said}: {key.note}", severity="warning"))
