"""
The parts of the API's page that are written from the code: endpoints, parameters, types.

What a field means that only the daemon tells stands in ``docs/reference/http-api.toml``.
"""

from __future__ import annotations

import functools
import tomllib
from typing import Any

import msgspec
from msgspec.inspect import type_info

from portroom.daemon.endpoints import COMMON, ENDPOINTS, OWN, Endpoint
from portroom.daemon.query import form
from portroom.model.facts.watched_answers import Problem
from tests.docs import blocks
from tests.docs.pages import ROOT

WORDS = ROOT / "docs/reference/http-api.toml"


def api_endpoints() -> str:
    """Return a section for each endpoint."""
    return "\n\n".join(map(section, ENDPOINTS))


def section(endpoint: Endpoint) -> str:
    """Return what is told of one endpoint."""
    words = read_words()["endpoints"]
    parts = [
        f"### {endpoint.path}",
        endpoint.summary,
        words.get(endpoint.name, "**not documented**"),
        f"Answers with {answer(endpoint)}.{own_statuses(endpoint)}",
    ]
    rows = [
        (f"`{one.name}`", form(one), "" if one.default is None else default(one), one.meaning)
        for one in endpoint.parameters
    ]
    if rows:
        parts.append(blocks.table(("parameter", "may be", "default", "meaning"), rows))
    return "\n\n".join(parts)


def default(one: Any) -> str:
    """Return what holds where a parameter is not given; times in seconds."""
    return f"{one.default:g} s" if one.kind == "duration" else str(one.default)


def own_statuses(endpoint: Endpoint) -> str:
    """Return the statuses of problems that are not those of every endpoint."""
    told = " and ".join(map(str, sorted(endpoint.statuses)))
    return f" May be {told}." if told else ""


def answer(endpoint: Endpoint) -> str:
    """Return the type of an endpoint's answer."""
    if endpoint.answer is None:
        return f"`{endpoint.media.partition(';')[0]}`"
    return blocks.type_name(type_info(endpoint.answer), own_types())


def api_statuses() -> str:
    """Return the table of the statuses of problems."""
    return blocks.table(
        ("status", "why"), [(str(status), why) for status, why in sorted((COMMON | OWN).items())]
    )


def api_types() -> str:
    """Return the fields of the types that only the API has."""
    return "\n\n".join(map(fields, own_types()))


@functools.cache
def own_types() -> list[type[msgspec.Struct]]:
    """Return the types that no command answers with, in the order of first use."""
    answers = [one.answer for one in ENDPOINTS if one.answer is not None]
    every = [one for answer in (*answers, Problem) for one in blocks.structs_of(answer)]
    return [one for one in dict.fromkeys(every) if one not in answers_of_commands()]


def fields(struct: type[msgspec.Struct]) -> str:
    """Return the fields of a type; of one that adds to a command's, those that it adds."""
    base = base_of(struct)
    rows = []
    for field in own_fields(struct):
        unit, meaning = told(struct, field.name)
        kind = blocks.type_name(type_info(field.type), own_types())
        rows.append((f"`{field.encode_name}`", kind, unit, meaning))
    table = blocks.table(("field", "type", "unit", "meaning"), rows)
    if base is None:
        return f"### {struct.__name__}\n\n{table}"
    name = base.__name__
    return f"### {struct.__name__}\n\nAll of [{name}](json.md#{name.lower()}), and:\n\n{table}"


@functools.cache
def answers_of_commands() -> frozenset[type[msgspec.Struct]]:
    """Return the types that commands answer with."""
    return frozenset(blocks.in_answers())


@functools.cache
def read_words() -> dict[str, Any]:
    """Return the words of this page."""
    return tomllib.loads(WORDS.read_text())


def base_of(struct: type[msgspec.Struct]) -> type[msgspec.Struct] | None:
    """Return the answer of a command that a type adds to, None where it adds to none."""
    return next((one for one in struct.__mro__[1:] if one in answers_of_commands()), None)


def own_fields(struct: type[msgspec.Struct]) -> list[Any]:
    """Return the fields that a type has, and its base has not or otherwise."""
    base = base_of(struct)
    known = {} if base is None else {one.name: one.type for one in msgspec.structs.fields(base)}
    return [one for one in msgspec.structs.fields(struct) if known.get(one.name) != one.type]


def told(struct: type[msgspec.Struct], name: str) -> tuple[str, str]:
    """Return the unit of a field, and its meaning."""
    found = read_words().get(struct.__name__, {}).get(name)
    if found is None:
        return blocks.unit_of(name), "**not documented**"
    return (found[0], found[1]) if isinstance(found, list) else (blocks.unit_of(name), found)
