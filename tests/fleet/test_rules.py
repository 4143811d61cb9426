"""The rules for Prometheus are valid, say what their pages say, and fire when they should."""

import re
import subprocess

import pytest
import yaml

from portroom.model.advice.alert_table import RULES, page
from portroom.model.facts.config import Alerts
from portroom.render.metric_table import METRICS, full_name
from tests.docs.pages import ROOT

FOLDER = ROOT / "fleet/prometheus"
FILE = FOLDER / "portroom.rules.yml"

(GROUP,) = yaml.safe_load(FILE.read_text())["groups"]
BY_NAME = {rule["alert"]: rule for rule in GROUP["rules"]}

OWN = {rule.prometheus: rule for rule in RULES}
"""Rules that portroom has by itself, too."""

THRESHOLDS = {
    "key_half": Alerts().half_ratio,
    "key_tight": Alerts().warning_ratio,
    "in_doubt": Alerts().warning_ratio,
    "key_critical": Alerts().critical_ratio,
    "exhaustion_forecast": Alerts().forecast_s,
}


def promtool(*words):
    """Return the status and the words of the real program."""
    ran = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def test_promtool_takes_the_rules():
    """All of them, in one group."""
    status, said = promtool("check", "rules", str(FILE))

    assert 0 == status, said
    assert f"{len(BY_NAME)} rules found" in said


def test_promtool_finds_every_rule_as_it_should_be():
    """Each fires when it should, and is silent before, below half and on a host that is well."""
    status, said = promtool("test", "rules", str(FOLDER / "portroom.rules.test.yml"))

    assert 0 == status, said


def test_every_rule_has_a_case_that_fires():
    """A rule without a test could never fire, and nobody would know."""
    tests = yaml.safe_load((FOLDER / "portroom.rules.test.yml").read_text())["tests"]
    fired = {
        one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]
    }

    assert BY_NAME.keys() == fired


def test_every_rule_of_portroom_is_one_for_prometheus_of_the_same_severity():
    """Whoever has Prometheus is told no less."""
    assert {name: rule.severity for name, rule in OWN.items()} == {
        name: rule["labels"]["severity"] for name, rule in BY_NAME.items() if name in OWN
    }


@pytest.mark.parametrize("name", BY_NAME)
def test_a_rule_names_its_page_and_is_called_like_it(name):
    """Words with capitals there, with underscores here."""
    words = re.sub(r"(?<!^)([A-Z])", r"_\1", name.removeprefix("Portroom")).lower()

    assert page(words) == BY_NAME[name]["annotations"]["page"]
    assert (ROOT / page(words)).is_file()


@pytest.mark.parametrize(("name", "threshold"), THRESHOLDS.items())
def test_a_threshold_is_that_of_the_configuration(name, threshold):
    """Unless somebody configures another, both warn at the same."""
    (rule,) = (rule for rule in RULES if rule.name == name)

    assert f"{threshold:g}" in re.findall(r"[0-9.]+", BY_NAME[rule.prometheus]["expr"])


@pytest.mark.parametrize("name", BY_NAME)
def test_a_rule_asks_for_metrics_that_there_are(name):
    """A typing error would be silent for ever."""
    asked = set(re.findall(r"portroom_\w+", BY_NAME[name]["expr"]))

    assert asked <= {full_name(metric) for metric in METRICS}


def test_the_example_of_alertmanager_is_one():
    """And silences only rules that there are."""
    file = FOLDER / "alertmanager.yml"
    ran = subprocess.run(["amtool", "check-config", str(file)], capture_output=True, check=False)
    named = set(re.findall(r"Portroom\w+", file.read_text()))

    assert 0 == ran.returncode, ran.stderr
    assert named <= BY_NAME.keys()
