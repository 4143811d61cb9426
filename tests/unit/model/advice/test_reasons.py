"""Every reason has a code, and the table says how grave it is and what lifts it."""

import re

import pytest

from portroom.model.advice.reasons import CODES, reason
from portroom.model.facts.change import FORCE, NOTE, REFUSAL, RESERVE, WARNING, Request


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_a_word_and_has_a_meaning(code):
    """Programs read the code, people its meaning; only refusals are lifted."""
    row = CODES[code]

    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", code)
    assert row.meaning.endswith(".")
    assert row.severity in {REFUSAL, WARNING, NOTE}
    assert not row.lifted_by or row.severity == REFUSAL
    assert set(row.lifted_by) <= {RESERVE, FORCE}


@pytest.mark.parametrize("code", CODES)
def test_force_lifts_what_it_lifts_and_nothing_else(code):
    """A lifted refusal is a warning; all else is as grave with --force as without."""
    forced = reason(code, "So it is.", request=Request((), force=True))
    expected = WARNING if FORCE in CODES[code].lifted_by else CODES[code].severity

    assert expected == forced.severity
    assert CODES[code].severity == reason(code, "So it is.", request=Request(())).severity
