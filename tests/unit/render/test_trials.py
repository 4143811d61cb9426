"""A trial that waits is told on every screen of status."""

import json

import jsonschema
import msgspec

from portroom.model.facts.trial import BrokenOff
from portroom.render import schema, status
from portroom.render.trials import EXPIRED, broken_lines, notices, trial_lines
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


def test_the_trial_of_a_user_says_whose_it_is():
    """Whoever else sees it can do nothing about it; two may have the same number."""
    theirs = msgspec.structs.replace(made.pending(), uid=1000)
    late = msgspec.structs.replace(theirs, left_s=-9.0, guarded=False, number=13)
    lines = trial_lines([made.pending(), theirs, late], Style(0))

    assert lines[0].startswith("Trial 12 (range=15000-64001 in host) is taken back in ")
    assert lines[1].startswith("Trial 12 of uid 1000 (range=15000-64001 in host) is taken back ")
    assert lines[1].endswith("unless confirmed: portroom confirm 12, as uid 1000.")
    assert lines[2].endswith("was not taken back: portroom recover, as uid 1000.")


def test_a_trial_that_its_guardian_put_back_was_taken_back():
    """Though the journal is locked, and cannot say so yet."""
    back = msgspec.structs.replace(made.pending(-60.0), put_back=True)

    assert "expired. Its values are put back" in trial_lines([back], Style(0))[0]
    assert [] == notices([back], [])


def test_what_broke_off_is_told_with_what_to_do():
    """On the screen of status, and on stderr by each command that reads."""
    broken = [BrokenOff(3, ("range=15000-64001", examples.HOSTILE))]
    answer = msgspec.structs.replace(with_trials(), broken_off=tuple(broken))
    late = made.pending(-9.0, guarded=False)

    assert broken_lines(broken, Style(80))[0].startswith("Change 3 (range=15000-64001 ")
    assert broken_lines(broken, Style(80))[0] in status.as_text(answer, Style(80))
    assert 1 == status.all_as_text([answer, answer], Style(80)).count("Change 3 (")
    assert "".join(broken_lines(broken, Style(80))).isprintable()
    assert [EXPIRED, "change 3 was broken off: run portroom recover"] == notices(
        [late, late, made.pending()], broken
    )
    assert [] == notices([made.pending()], [])
