"""OpenAPI of what is answered, made from the models and the table of endpoints.

Source: OpenAPI Specification 3.1.0.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import msgspec

from portroom import __version__
from portroom.daemon.endpoints import (
    COMMON,
    COUNT,
    DURATION,
    DURATION_FORM,
    ENDPOINTS,
    EVENTS,
    JSON,
    OWN,
    TEXT_FORM,
    Endpoint,
    Parameter,
)
from portroom.model.facts.watched_answers import Problem, WatchedStatus
from portroom.render.schema import complete

SCHEMAS = "#/components/schemas/{name}"

ABOUT = (
    "What portroom sees of local ports. Everything is read from the newest sample: a request "
    "never reads the kernel, and there is nothing that writes."
)

LICENCE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}

MORE_STATUSES = {
    "page": {303: "The token was right: the browser keeps it, and is sent to the page."},
}
"""Statuses of one endpoint that are no problem."""


EVENT = {
    "description": "One event: a `status`, or `gone` where the namespace is not watched any more.",
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["status", "gone"]},
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "retry": {"type": "integer"},
        "data": {
            "type": "string",
            "contentMediaType": JSON,
            "contentSchema": {
                "anyOf": [
                    {"$ref": SCHEMAS.format(name=one.__name__)} for one in (WatchedStatus, Problem)
                ]
            },
        },
    },
    "required": ["event", "id", "data"],
}

SHAPES: dict[str, dict[str, Any]] = {JSON: {"type": "object"}, EVENTS: EVENT}
"""What an answer is like that is no answer of the commands, by its media type."""


@functools.cache
def as_json() -> bytes:
    """Return the description as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


def document() -> dict[str, Any]:
    """Return the description."""
    answers = [Problem, *(one.answer for one in ENDPOINTS if one.answer is not None)]
    _, found = msgspec.json.schema_components(answers, ref_template=SCHEMAS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "portroom",
            "version": __version__,
            "description": ABOUT,
            "license": LICENCE,
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"cookie": []}],
        "paths": {one.path: {"get": operation(one)} for one in ENDPOINTS},
        "components": {
            "schemas": {name: complete(shape) for name, shape in found.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "portroom_token"},
            },
        },
    }


def operation(endpoint: Endpoint) -> dict[str, Any]:
    """Return what is told of one endpoint."""
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [parameter(one) for one in endpoint.parameters],
        "responses": {str(status): told for status, told in responses(endpoint)},
    }


def parameter(one: Parameter) -> dict[str, Any]:
    """Return what is told of a parameter."""
    shape = {COUNT: _count, DURATION: _duration}.get(one.kind, _text)(one)
    if one.kind == COUNT and one.default is not None:
        shape["default"] = one.default
    return {
        "name": one.name,
        "in": "query",
        "required": False,
        "description": one.meaning,
        "schema": shape,
    }


def _count(one: Parameter) -> dict[str, Any]:
    """Return the shape of a whole number."""
    return {"type": "integer", "minimum": one.least, "maximum": one.most}


def _duration(_: Parameter) -> dict[str, Any]:
    """Return the shape of a time."""
    return {"type": "string", "pattern": f"^{DURATION_FORM}$"}


def _text(one: Parameter) -> dict[str, Any]:
    """Return the shape of a text."""
    if one.words:
        return {"type": "string", "enum": list(one.words)}
    return {"type": "string", "pattern": f"^{TEXT_FORM}$"}


def responses(endpoint: Endpoint) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each status of an endpoint and what comes with it."""
    yield 200, {"description": endpoint.summary, "content": content(endpoint)}
    for status, text in MORE_STATUSES.get(endpoint.name, {}).items():
        yield status, {"description": text}
    problem = {JSON: {"schema": {"$ref": SCHEMAS.format(name=Problem.__name__)}}}
    own = {status: OWN[status] for status in endpoint.statuses}
    for status, text in sorted((COMMON | own).items()):
        yield status, {"description": text, "content": problem}


def content(endpoint: Endpoint) -> dict[str, Any]:
    """Return what an endpoint answers with."""
    media = endpoint.media.partition(";")[0]
    if endpoint.answer is not None:
        return {media: {"schema": {"$ref": SCHEMAS.format(name=endpoint.answer.__name__)}}}
    return {media: {"schema": SHAPES.get(media, {"type": "string"})}}
