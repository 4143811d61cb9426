"""Every cause of an errno is judged, once, and what is found comes first."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.advice.causes.table import CAUSES
from portroom.model.advice.explain import explain
from portroom.model.facts.explanation import (
    ERRORS,
    FOUND,
    POSSIBLE,
    RULED_OUT,
    UNKNOWN,
    VERDICTS,
    ExplainQuestion,
)
from portroom.model.facts.scene import Scene
from portroom.model.facts.sockets import Operation, Protocol
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys
from tests.unit.made_causes import PORTS, THERE, of
from tests.unit.made_groups import (
    ANY_FEATURES,
    ANY_SETTINGS,
    HERE,
    any_groups,
    settings,
    snapshot,
    table,
)

QUESTIONS = some.builds(
    ExplainQuestion,
    error=some.sampled_from([None, *ERRORS]),
    remote=some.sampled_from([None, str(THERE)]),
    protocol=some.sampled_from([None, Protocol.TCP, Protocol.UDP]),
    from_address=some.sampled_from([None, HERE, "0.0.0.0"]),
    from_port=some.sampled_from([0, 0, 40001]),
)


@pytest.mark.parametrize("error", [None, *ERRORS])
def test_the_causes_of_an_errno_are_those_of_the_table(error):
    """Each of them, and no other; without an errno all there are."""
    expected = {name for name, row in CAUSES.items() if error in (None, *row.errors)}

    assert expected == set(of(error=error, to=None).causes())


def test_what_is_found_comes_first_and_what_is_ruled_out_last():
    """Within a verdict the order of the table holds."""
    causes = explain(*of(table(*PORTS), error=None))
    places = [VERDICTS.index(cause.verdict) for cause in causes]
    names = [cause.name for cause in causes if cause.verdict == UNKNOWN]

    assert sorted(places) == places
    assert "key_full" == causes[0].name
    assert sorted(names, key=list(CAUSES).index) == names


@given(groups=any_groups(), of_it=ANY_SETTINGS, features=ANY_FEATURES, asked=QUESTIONS)
def test_any_namespace_is_judged_and_each_verdict_has_its_sentence(groups, of_it, features, asked):
    """Found and possible ones say what to do; an exhausted key has a cause, a free one none."""
    read = snapshot(groups, of_it, features)
    wanted = KeysWanted(Protocol.TCP, Operation.CONNECT, (THERE,) if asked.remote else (), HERE)
    keys = tuple(as_key(one) for one in find_keys(read, wanted).measured)
    causes = {cause.name: cause for cause in explain(asked, Scene(read=read, keys=keys))}

    for cause in causes.values():
        assert cause.verdict in VERDICTS
        assert cause.sentence.endswith(".")
        assert not cause.sentence.startswith(" ")
        assert "  " not in cause.sentence
        if cause.verdict in (FOUND, POSSIBLE):
            assert cause.remedy
            assert cause.command
    if "key_full" in causes and not asked.from_port and keys:
        tightest = min(keys, key=lambda key: (key.free_ports, key.free_ports_max))
        of_ports = {causes[name].verdict for name in ("key_full", "ports_blocked")}
        if tightest.exhausted and tightest.eligible_ports:
            assert FOUND in of_ports
        elif tightest.free_ports and asked.error is None and asked.remote:
            assert {RULED_OUT} == of_ports


def test_a_saved_snapshot_alone_is_judged_as_far_as_it_goes():
    """Nothing that nobody looked at is ruled out."""
    read = snapshot(of(table(*PORTS)).scene.read.groups, settings())
    keys = tuple(as_key(one) for one in find_keys(read, KeysWanted()).measured)
    scene = Scene(read=msgspec.structs.replace(read), keys=keys)
    causes = {cause.name: cause for cause in explain(ExplainQuestion(), scene)}

    assert FOUND == causes["key_full"].verdict
    for name in ("conntrack_full", "snat_exhausted", "accept_queue_full", "open_files"):
        assert UNKNOWN == causes[name].verdict
