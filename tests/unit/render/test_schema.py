"""The JSON Schemas are shipped, current, and hold for what is written."""

import json
from pathlib import Path

import jsonschema
import pytest

import portroom.render
from portroom.render import document, schema
from tests.unit.render import advice_examples, examples

SHIPPED = Path(portroom.render.__file__).parent / "schemas"


@pytest.mark.parametrize("command", schema.COMMANDS)
def test_the_shipped_schema_is_current(command):
    """The file is what the answer type says now; its module tells how to renew it."""
    expected = schema.as_json_schema(command)

    actual = (SHIPPED / f"{command}.json").read_text()

    assert expected == actual


def test_no_other_schema_is_shipped():
    """Each file belongs to a command."""
    actual = {path.stem for path in SHIPPED.iterdir()}

    assert set(schema.COMMANDS) == actual


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("headroom", examples.headroom()),
        ("status", examples.status()),
        ("status", examples.status([], use=None, sessions=None)),
        ("status", examples.status(findings=[advice_examples.FULL, advice_examples.PARITY])),
        ("doctor", advice_examples.findings()),
        ("doctor", advice_examples.findings(())),
    ],
)
def test_what_is_written_is_valid(command, answer):
    """One answer, and the answers of all namespaces."""
    rules = json.loads(schema.as_json_schema(command))
    every = document.as_json_all([answer], "web1", examples.AT)

    jsonschema.validate(json.loads(document.as_json(answer)), rules)
    jsonschema.validate(json.loads(every), rules)


@pytest.mark.parametrize(
    "answer",
    [
        advice_examples.explanation(),
        advice_examples.explanation((), keys=(), error=None, errno=None, protocol=None),
        advice_examples.explanation(local_address="::1", process=examples.owner()),
    ],
)
def test_an_explanation_is_valid(answer):
    """There is one alone, whatever was asked."""
    rules = json.loads(schema.as_json_schema("explain"))

    jsonschema.validate(json.loads(document.as_json(answer)), rules)
    assert "Namespaces" not in rules["$defs"]


def test_a_missing_field_is_invalid():
    """Every field is always there, so that readers need not guess."""
    rules = json.loads(schema.as_json_schema("headroom"))
    answer = json.loads(document.as_json(examples.headroom()))
    del answer["keys"][0]["owners"]

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(answer, rules)
