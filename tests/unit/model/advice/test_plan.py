"""A plan has all that is to be known of a change, and refuses what is unsafe."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.model.advice.collisions import KINDS
from portroom.model.advice.order import state_of
from portroom.model.advice.plan import plan_change, values_to_persist
from portroom.model.advice.reasons import CODES
from portroom.model.advice.requests import SET, WRITABLE, Wanted, parse_words
from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.change import (
    FORCE,
    NOTE,
    PERSIST,
    PERSIST_ONLY,
    REFUSAL,
    RESERVE,
    WARNING,
    Capacity,
    Request,
    SettingChange,
    SettingStep,
    inverse,
)
from portroom.model.facts.gaps import Gap
from portroom.model.facts.settings import kernel_text
from portroom.model.facts.surroundings import (
    NodePorts,
    PublishedPort,
    ServicePort,
    Surroundings,
    VxlanPort,
    Workload,
)
from portroom.model.laws.acceptance import RANGE_KEY, RESERVED_KEY, write_whole
from tests.unit.made_change import (
    HOST,
    NGINX,
    NOWHERE,
    bound,
    codes,
    host,
    listens,
    planned,
    udp,
    values,
    with_rows,
)
from tests.unit.made_groups import listener, table

EVERYTHING = Surroundings(
    published=(PublishedPort("tcp", 16000, "docker", "web"),),
    vxlan=(VxlanPort(18472, "flannel.1"),),
    services=(ServicePort("tcp", 19000, "grafana", "grafana.service"),),
    node_ports=NodePorts(RangeEnds(30000, 32767), "kubelet runs"),
)
CROWDED = host(listener(17000), bound(17001), udp(17002), udp(17003, ("198.51.100.1", 53)))

REFUSED = [
    "published_ports_inside",
    "vxlan_inside",
    "listeners_inside",
    "bound_ports_inside",
    "udp_sockets_inside",
]


def texts(plan):
    """Return the steps of a plan as sysctl, old and new text."""
    return [(step.key, step.before, step.after) for step in plan.steps]


def test_the_articles_own_value_is_planned_with_a_better_one():
    """15000-64000 works, is warned of, and 15000-64001 is offered."""
    plan = planned("range=15000-64000", host())

    assert () == plan.refusals
    assert [SettingStep(HOST, RANGE_KEY, "32768 60999", "15000 64000")] == list(plan.steps)
    assert [
        SettingChange("range", RANGE_KEY, RangeEnds(32768, 60999), RangeEnds(15000, 64000))
    ] == list(plan.changes)
    assert Capacity(28_232, 49_001) == plan.capacity
    assert RangeEnds(15000, 64001) == plan.suggestion
    assert "same_parity" in codes(plan, WARNING)


def test_the_better_value_has_no_such_warning():
    """Ends of different parity need no suggestion."""
    plan = planned("range=15000-64001", host())

    assert None is plan.suggestion
    assert "same_parity" not in codes(plan)


def test_nothing_to_do_has_no_change_and_no_step():
    """A setting that has its value is noted, and nothing is written."""
    plan = planned("range=32768-60999", host())

    assert ((), ()) == (plan.changes, plan.steps)
    assert ["nothing_to_do"] == codes(plan)


def test_lists_are_compared_as_sets():
    """Another spelling of the same ports is nothing to do."""
    plan = planned("reserved=8081,8080", host(reserved="8080-8081"))

    assert () == plan.steps


def test_all_that_refuses_is_told_at_once():
    """Listeners, bound and UDP sockets, published and VXLAN ports refuse; the rest warns."""
    plan = planned("range=15000-64001", CROWDED, EVERYTHING)

    assert REFUSED == codes(plan, REFUSAL)
    assert {"node_ports_inside", "service_ports_inside", "udp_clients_inside"} <= set(
        codes(plan, WARNING)
    )
    assert {(RESERVE, FORCE)} == {one.lifted_by for one in plan.refusals}
    assert set(KINDS) == {one.kind for one in plan.collisions}


def test_what_is_proposed_keeps_others_reservations():
    """The proposed list has the ports that collide and those that are reserved already."""
    read = host(listener(17000), reserved="9000,40000")
    plan = planned("range=15000-64001", read)

    assert "9000,17000,40000" == plan.reserved_proposal
    assert [RANGE_KEY] == [step.key for step in plan.steps]


def test_reserve_writes_the_proposal_before_the_range():
    """--reserve lifts the refusals by one more step, and says why these ports."""
    read = host(listener(17000), reserved="9000")
    plan = planned("range=15000-64001", read, reserve=True)

    assert () == plan.refusals
    assert [
        (RESERVED_KEY, "9000", "9000,17000"),
        (RANGE_KEY, "32768 60999", "15000 64001"),
    ] == texts(plan)
    assert "reserved_too" in codes(plan, NOTE)
    assert [NOTE] == [one.severity for one in plan.collisions]
    assert 49_001 == plan.capacity.eligible_ports_after


def test_reserve_adds_to_what_the_request_reserves():
    """What is asked for and what collides are written together."""
    read = host(listener(17000))
    plan = planned("range=15000-64001 reserved+=20000", read, reserve=True)

    assert "17000,20000" == texts(plan)[0][2]


def test_force_turns_the_refusals_into_warnings():
    """--force writes what was asked for, and the reasons stay."""
    plan = planned("range=15000-64001", CROWDED, EVERYTHING, force=True)

    assert () == plan.refusals
    assert set(REFUSED) <= set(codes(plan, WARNING))
    assert [RANGE_KEY] == [step.key for step in plan.steps]
    assert {WARNING} == {one.severity for one in plan.collisions}


def test_a_reservation_taken_off_a_listener_is_refused():
    """reserved-= and reserved= are looked at as a new range is."""
    read = host(listener(40000), reserved="40000,50000")

    assert ["listeners_inside"] == codes(planned("reserved-=40000", read), REFUSAL)
    assert ["listeners_inside"] == codes(planned("reserved=50000", read), REFUSAL)
    assert [] == codes(planned("reserved-=50000", read), REFUSAL)


def test_owners_are_told_by_name():
    """A collision has the processes behind it, and its sentence names the first."""
    plan = planned("range=15000-64001", with_rows(host(), listens(17000)))

    assert (NGINX,) == plan.collisions[0].owners
    assert "tcp 17000 (nginx, pid 4711)" in plan.refusals[0].sentence


def test_ports_to_be_reserved_that_a_connection_holds_are_told():
    """An outgoing connection on such a port keeps its service from starting."""
    plan = planned("reserved+=40001-40002,40009", host(table(40001, 40005)))

    assert [("tcp", 40001, 1)] == [(one.protocol, one.port, one.sockets) for one in plan.held_now]
    assert "held_now" in codes(plan, WARNING)


def test_the_tightest_keys_are_told_before_and_after():
    """A destination's free ports grow with the range."""
    plan = planned("range=40000-64001", host(table(*range(50000, 50100))), force=True)
    (key,) = plan.tightest

    assert ("198.51.100.1", 443) == (key.remote_address, key.remote_port)
    assert (28_132, 23_902) == (key.free_ports_before, key.free_ports_after)


def test_persist_only_writes_nothing_to_the_kernel():
    """The changes are told and judged, and there is no live step."""
    plan = planned("range=15000-64001", host(listener(17000)), where=PERSIST_ONLY)

    assert () == plan.steps
    assert 1 == len(plan.changes)
    assert ["listeners_inside"] == codes(plan, REFUSAL)


def test_what_the_file_must_say_has_also_what_holds_already():
    """Every wanted setting is a line, and what --reserve added."""
    read = host(listener(17000), tcp_tw_reuse=1)
    wanted = parse_words(["range=15000-64001", "tw_reuse=1"])
    plan = planned("range=15000-64001 tw_reuse=1", read, reserve=True, where=PERSIST)

    assert {
        RESERVED_KEY: "17000",
        RANGE_KEY: "15000 64001",
        "net.ipv4.tcp_tw_reuse": "1",
    } == values_to_persist(plan, wanted, read.settings)


def test_the_lines_of_a_file_are_in_the_order_of_writing():
    """A boot writes a lower first unprivileged port before the range."""
    words = "range=80-64001 unprivileged_port_start=80"
    plan = planned(words, host())
    lines = values_to_persist(plan, parse_words(words.split()), host().settings)

    assert ["net.ipv4.ip_unprivileged_port_start", RANGE_KEY] == list(lines)


def test_a_container_is_told_the_durable_way():
    """The lines have all wanted values, those that hold already as well."""
    around = Surroundings(workload=Workload("docker", "web"))
    plan = planned("range=15000-64001 tw_reuse=1", host(tcp_tw_reuse=1), around)

    assert '--sysctl net.ipv4.ip_local_port_range="15000 64001"' in plan.durable[0]
    assert '--sysctl net.ipv4.tcp_tw_reuse="1"' in plan.durable[0]


def test_what_could_not_be_read_is_a_gap_and_a_warning():
    """Without sockets the plan says that it does not know what listens."""
    gap = Gap("groups", "could not be read (EPERM)")
    read = msgspec.structs.replace(host(), groups=gap)
    plan = planned("range=15000-64001", read, Surroundings(gaps=(Gap("units", "unread"),)))

    assert "sockets_unseen" in codes(plan, WARNING)
    assert ["groups", "units"] == [one.source for one in plan.gaps]
    assert () == plan.tightest


def test_without_settings_there_is_no_plan():
    """What holds now must be known."""
    read = msgspec.structs.replace(host(), settings=Gap("settings", "unread"))

    with pytest.raises(KernelDataError, match=r"The settings are not known: unread\."):
        planned("range=15000-64001", read)


def test_the_gravest_reasons_come_first():
    """Refusals, then warnings, then notes."""
    plan = planned("range=15000-64000 tw_reuse=1", CROWDED, EVERYTHING)
    ranks = [[REFUSAL, WARNING, NOTE].index(one.severity) for one in plan.reasons]

    assert sorted(ranks) == ranks


WORDS = some.sampled_from(
    [
        "range=15000-64000",
        "range=40000-40100",
        "range=80-65535",
        "range=16000-16001",
        "reserved=none",
        "reserved=16000-20000",
        "reserved=0-65535",
        "reserved+=17000",
        "reserved-=17000,5",
        "unprivileged_port_start=0",
        "unprivileged_port_start=50000",
        "tw_reuse=1",
        "tw_reuse=0",
        "tw_reuse_delay=5",
        "autobind_reuse=1",
        "step_width=7",
    ]
)
REQUESTS = some.builds(
    Request,
    some.lists(WORDS, min_size=1, unique_by=lambda word: word.partition("=")[0].rstrip("+-")).map(
        tuple
    ),
    where=some.sampled_from(["live", PERSIST, PERSIST_ONLY]),
    reserve=some.booleans(),
    force=some.booleans(),
)


@given(REQUESTS, values(), some.booleans())
def test_any_request_on_any_host_gives_a_whole_plan(request, known, crowded):
    """Every reason has a code of the table; what --force lifts never refuses with it."""
    read = msgspec.structs.replace(CROWDED if crowded else host(), settings=known)
    plan = plan_change(
        read, parse_words(request.words), request, EVERYTHING if crowded else NOWHERE
    )

    assert {one.code for one in plan.reasons} <= set(CODES)
    assert all(one.sentence.endswith(".") for one in plan.reasons)
    assert not (request.force and any(FORCE in one.lifted_by for one in plan.refusals))
    assert [one.key for one in plan.changes] == [step.key for step in plan.steps] or (
        request.where == PERSIST_ONLY
    )


@given(values(), values())
def test_a_plan_and_its_inverse_are_nothing(before, after):
    """The steps lead to what was wanted, the inverse ones back, and the kernel takes all."""
    read = msgspec.structs.replace(host(), settings=before)
    wanted = tuple(Wanted(row, SET, after.values[row.key]) for row in WRITABLE)
    plan = plan_change(read, wanted, Request(tuple(map(str, wanted))), NOWHERE)
    held = state_of(before)

    for steps, end in ((plan.steps, after), (inverse(plan.steps), before)):
        for step in steps:
            assert held[step.key] == step.before
            done = write_whole(step.key, f"{step.after}\n".encode(), held)
            assert ("", step.after) == (done.refusal, done.value)
            held[step.key] = done.value

        assert {key: kernel_text(value) for key, value in end.values.items()} == held
