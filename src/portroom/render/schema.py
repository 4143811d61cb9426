"""JSON Schemas of the answers, as `-o json` writes them.

The files in ``schemas/`` are these texts; a test fails when they are not. To renew:
``python -c "import sys; from portroom.render.schema import *;
sys.stdout.write(as_json_schema(sys.argv[1]))" status > …/schemas/status.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from portroom.model.facts import codec
from portroom.model.facts.alert_rules import AlertRules
from portroom.model.facts.answers import (
    SCHEMA_VERSION,
    Answer,
    Findings,
    Headroom,
    Sessions,
    SettingsAnswer,
    Status,
)
from portroom.model.facts.boot_answer import Boot, BootOfKey
from portroom.model.facts.change import ChangePlan
from portroom.model.facts.explanation import Explanation
from portroom.model.facts.failure import Failure, FailureCounts
from portroom.model.facts.features import FeaturesAnswer
from portroom.model.facts.journal import Changed, Journal
from portroom.model.facts.report import Report
from portroom.model.facts.watched import History

ANSWERS: dict[str, type[Answer]] = {
    "boot": Boot,
    "headroom": Headroom,
    "sessions": Sessions,
    "settings": SettingsAnswer,
    "status": Status,
    "explain": Explanation,
    "doctor": Findings,
    "features": FeaturesAnswer,
    "trace": FailureCounts,
    "alerts": AlertRules,
    "plan": ChangePlan,
    "set": Changed,
    "apply": Changed,
    "confirm": Journal,
    "undo": Journal,
    "recover": Journal,
    "journal": Journal,
    "history": History,
    "report": Report,
}
"""The answer of each command, by the command's name."""

ALONE: dict[str, type[Answer]] = {"boot": BootOfKey}
"""What a command answers of one thing alone, where it is not of namespaces."""

EVENTS: dict[str, type[msgspec.Struct]] = {"trace": Failure}
"""What a command tells as it happens: a line of ``-o jsonl``, after the header."""

TOGETHER = frozenset(
    {
        "explain",
        "features",
        "trace",
        "set",
        "apply",
        "confirm",
        "undo",
        "recover",
        "journal",
        "report",
        "history",
        "alerts",
    }
)
"""Commands with one answer, however many namespaces it is about."""

SNAPSHOT = "snapshot"
"""The command whose JSON is no answer but the Snapshot itself."""

COMMANDS = (*ANSWERS, SNAPSHOT)
"""The commands whose JSON has a schema."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"

INSTANT = {"type": "string", "format": "date-time"}

VERSION = {"type": "integer", "const": SCHEMA_VERSION}


def as_json_schema(command: str) -> str:
    """
    Return the JSON Schema of what a command writes with ``-o json``.

    Both forms are in it: one answer, and with ``--all-netns`` one a namespace,
    or that of one thing alone, or of one event.
    """
    if command == SNAPSHOT:
        return _snapshot()
    every: tuple[Mapping[str, type[msgspec.Struct]], ...] = (ANSWERS, ALONE, EVENTS)
    answers = [one[command] for one in every if command in one]
    _, found = msgspec.json.schema_components(answers, ref_template="#/$defs/{name}")
    shapes = {title: complete(shape) for title, shape in found.items()}
    names = [answer.__name__ for answer in answers]
    if command not in ALONE and command not in TOGETHER:
        shapes["Namespaces"] = _namespaces(*names)
        names.append("Namespaces")
    document = {
        "$schema": DIALECT,
        "title": f"portroom {command} -o json",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in names],
        "$defs": shapes,
    }
    encoded = msgspec.json.encode(document)
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def _snapshot() -> str:
    """Return the JSON Schema of ``portroom snapshot -o json``."""
    beginning = {"$schema": DIALECT, "title": "portroom snapshot -o json"}
    encoded = msgspec.json.encode(beginning | codec.schema())
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def complete(shape: dict[str, Any]) -> dict[str, Any]:
    """Return the shape of an object in which every field is always there."""
    fields = shape.get("properties")
    if fields is None:
        return shape
    fields = {name: _without_default(field) for name, field in fields.items()}
    exact = {"schema_version": VERSION, "taken_at": INSTANT}
    fields |= {name: rule for name, rule in exact.items() if name in fields}
    return shape | {"properties": fields, "required": list(fields)}


def _without_default(field: dict[str, Any]) -> dict[str, Any]:
    """Return a field without its default: nothing is ever left out."""
    return {word: value for word, value in field.items() if word != "default"}


def _namespaces(name: str) -> dict[str, Any]:
    """Return the shape of the answers of all namespaces."""
    fields = {
        "schema_version": VERSION,
        "host": {"type": "string"},
        "taken_at": INSTANT,
        "namespaces": {"type": "array", "items": {"$ref": f"#/$defs/{name}"}},
    }
    return {
        "title": "Namespaces",
        "description": "The same answer of every network namespace.",
        "type": "object",
        "properties": fields,
        "required": list(fields),
    }
