"""Parts of the documentation about the configuration and about alerts."""

from __future__ import annotations

import yaml

from portroom.model.advice.alert_table import RULES
from portroom.model.facts.config import KEYS, Config
from portroom.model.laws.config import SECTIONS, value_of
from portroom.model.laws.config_values import bounds, written
from tests.docs.blocks import table
from tests.docs.pages import ROOT

ALERT_PAGES = ROOT / "docs/alerts"
PROMETHEUS = ROOT / "fleet/prometheus/portroom.rules.yml"

HEADING = ("key", "is", "unasked", "may be", "reload", "meaning")


def configuration() -> str:
    """Return a section of the reference for each section of the file, with all its keys."""
    return "\n\n".join(
        f"## {section}\n\n{_about(section)}\n\n{_keys(section)}" for section in SECTIONS
    )


def alerts() -> str:
    """Return the table of all alerts, each with a link to its page, the gravest first."""
    rows = [
        (f"[`{rule.name}`]({rule.name}.md)", rule.severity, rule.title, f"`{rule.prometheus}`")
        for rule in RULES
    ]
    own = {rule.prometheus for rule in RULES}
    for rule in prometheus_rules():
        if rule["alert"] not in own:
            name = rule["annotations"]["page"].rpartition("/")[2].removesuffix(".md")
            title = (ALERT_PAGES / f"{name}.md").read_text().partition("\n")[0].removeprefix("# ")
            severity = rule["labels"]["severity"]
            rows.append(
                (f"[`{name}`]({name}.md)", severity, title, f"`{rule['alert']}`, only there")
            )
    return table(("alert", "severity", "says", "in Prometheus"), rows)


def prometheus_rules() -> list[dict[str, dict[str, str]]]:
    """Return the rules for Prometheus."""
    (group,) = yaml.safe_load(PROMETHEUS.read_text())["groups"]
    rules: list[dict[str, dict[str, str]]] = group["rules"]
    return rules


def _about(section: str) -> str:
    """Return what a section is about."""
    return str(type(getattr(Config(), section)).__doc__)


def _keys(section: str) -> str:
    """Return the table of a section's keys."""
    rows = [
        (
            f"`{key.name}`",
            key.kind,
            f"`{written(key, value_of(Config(), key))}`",
            bounds(key),
            "yes" if key.reloads else "no",
            key.meaning,
        )
        for key in KEYS
        if key.section == section
    ]
    return table(HEADING, rows)
