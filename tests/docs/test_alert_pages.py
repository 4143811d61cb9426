"""Every alert has its page, every key its row, and every configuration in the docs is one."""

from __future__ import annotations

import re

import pytest

from portroom.model.advice.alert_table import RULES
from portroom.model.facts.config import KEYS, Config
from portroom.model.laws.config import parse_config
from tests.docs.advice import names_of
from tests.docs.alerting import ALERT_PAGES, prometheus_rules
from tests.docs.pages import ROOT, read

REFERENCE = (ROOT / "docs/reference/configuration.md").read_text()

SECTIONS = (
    "How portroom knows",
    "Check by hand",
    "What to do now",
    "What to do for good",
)
"""What a person at night looks for, in this order."""

FILES = (".conf", ".json", ".sqlite", ".msgpack")
"""What looks like a key and is the name of a file."""

TITLES = {rule.name: (rule.title, rule.severity) for rule in RULES}

TOML = re.compile(r"(?m)^```toml\n(.*?)^```$", re.DOTALL)


def test_every_alert_has_a_page_and_every_page_an_alert():
    """Of portroom's own rules, and of those that Prometheus alone has."""
    named = {rule["annotations"]["page"] for rule in prometheus_rules()}

    assert {f"docs/alerts/{name}.md" for name in names_of(ALERT_PAGES)} == named
    assert TITLES.keys() <= names_of(ALERT_PAGES)


@pytest.mark.parametrize("name", sorted(names_of(ALERT_PAGES)))
def test_a_page_says_what_to_do_at_night(name):
    """Its title, its names and severity, and the same sections in the same order."""
    title, line, text = (ALERT_PAGES / f"{name}.md").read_text().split("\n\n", 2)
    (rule,) = (
        rule for rule in prometheus_rules() if rule["annotations"]["page"].endswith(f"/{name}.md")
    )
    severity = rule["labels"]["severity"]

    assert f"`{name}` · {severity} · Prometheus: `{rule['alert']}`" == line
    assert [*SECTIONS] == re.findall(r"(?m)^## (.+)$", text)
    assert "\nSee also: [" in text
    if name in TITLES:
        assert (title.removeprefix("# "), severity) == TITLES[name]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.section}.{key.name}")
def test_every_key_is_in_the_reference(key):
    """In the table of its section, with what it means."""
    section = REFERENCE.partition(f"\n## {key.section}\n")[2].partition("\n## ")[0]

    assert f"\n| `{key.name}` | {key.kind} | " in section
    assert key.meaning in section


def test_every_configuration_in_the_docs_can_be():
    """A reader may paste it."""
    texts = [text for page in read().values() for text in TOML.findall(page)]

    assert texts
    assert all(parse_config(text, "docs") != Config() for text in texts)


def test_every_key_that_a_page_names_exists():
    """``alerts.warning`` and the like, wherever they stand as code."""
    known = {f"{key.section}.{key.name}" for key in KEYS}
    sections = "|".join({key.section for key in KEYS})
    named = {
        name
        for text in read().values()
        for name in re.findall(rf"`(?:--set )?((?:{sections})\.[a-z_]+)\b(?!\()(?:`| = |=)", text)
    }

    assert set() == {name for name in named - known if not name.endswith(FILES)}
