"""The table of causes: each has a rule, a title, errnos that explain knows, and a page."""

import pytest

from portroom.model.advice.causes.table import CAUSES, page
from portroom.model.advice.explain import RULES
from portroom.model.facts.explanation import ERRORS


def test_every_cause_has_its_rule_and_every_rule_its_cause():
    """And both come in the same order, which is the one they are told in."""
    assert list(CAUSES) == list(RULES)


def test_every_errno_has_a_cause_and_every_cause_an_errno():
    """No question is without an answer."""
    given = {error for row in CAUSES.values() for error in row.errors}

    assert set(ERRORS) == given


@pytest.mark.parametrize("name", CAUSES)
def test_a_title_completes_a_sentence(name):
    """It begins small and has no full stop."""
    title = CAUSES[name].title

    assert not title[0].isupper() or title.startswith(("UDP", "IPv6"))
    assert not title.endswith(".")
    assert page(name).endswith(f"/{name}.md")
