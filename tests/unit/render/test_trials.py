"""A trial that waits is told on every screen of status."""

import json

import jsonschema
import msgspec

from portroom.render import schema, status
from portroom.render.trials import trial_lines
from portroom.render.units import Style, columns
from tests.unit.render import change_examples as made
from tests.unit.render import examples


def with_trials(*trials):
    """Return a status of a system on which trials wait."""
    return msgspec.structs.replace(examples.status(), trials=trials)


def test_status_tells_what_is_left_and_whether_it_is_guarded():
    """One sentence a trial, and the command that keeps it."""
    text = status.as_text(with_trials(made.pending(), made.pending(9.0, guarded=False, number=13)),
                          Style(80))  # fmt: skip

    assert "is taken back in 1 min 20 s, unless\n  confirmed: portroom confirm 12.\n" in text
    assert "No guardian is awake" in text


def test_all_namespaces_tell_each_trial_once():
    """Each answer has the trials of the whole system."""
    answer = with_trials(made.pending())
    other = msgspec.structs.replace(answer, netns=examples.netns())

    assert 1 == status.all_as_text([answer, other], Style(80)).count("Trial 12")


def test_without_a_trial_nothing_is_told():
    """Not even a blank line more."""
    assert [] == trial_lines((), Style(80))
    assert status.as_text(with_trials(), Style(80)) == status.as_text(examples.status(), Style(80))


def test_a_trial_past_its_end_is_being_taken_back_or_was_forgotten():
    """A guardian that is awake gets a moment."""
    at_work, stopped = made.pending(-1.0), made.pending(-1.0, guarded=False)

    assert "being taken back" in trial_lines([at_work], Style(80))[0]
    assert "was not taken back" in " ".join(trial_lines([stopped], Style(80)))


def test_json_has_the_trials():
    """As the schema of status says."""
    document = json.loads(status.as_json(with_trials(made.pending())))

    jsonschema.validate(document, json.loads(schema.as_json_schema("status")))
    assert [12] == [trial["number"] for trial in document["trials"]]


def test_lines_fit_a_narrow_terminal():
    """40 columns do."""
    lines = trial_lines([made.pending(), made.pending(-9.0, number=7)], Style(40))

    assert max(map(columns, lines)) <= 40
