"""Who exhausted a key: its own connections, what is out for all, or both, by their shares."""

import msgspec
import pytest

from portroom.model.advice.causes.pools import EVERYBODY
from portroom.model.facts.answers import Key
from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.scene import Address, Probed, Reached
from portroom.model.facts.snapshot import KeyOwners, NetnsId, Owners
from portroom.model.facts.sockets import Kind, Operation, Protocol, TcpState
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys
from tests.unit.made_causes import NOT_AVAILABLE, PORTS, TEN, THERE, WEB, of
from tests.unit.made_groups import HERE, listener, table

OTHER = ("198.51.100.2", 80)
TWO = PortSet.of(PORTS[:2])


def test_a_key_that_its_own_connections_fill_is_full_and_nothing_is_blocked():
    """TIME_WAIT and ESTABLISHED are told apart, with the next command."""
    waits = table(*PORTS[:7], state=TcpState.TIME_WAIT)
    case = of(waits, table(*PORTS[7:]), shared=set(PORTS[:2]))
    cause = case.causes()["key_full"]

    assert FOUND == cause.verdict
    assert cause.sentence == (
        "All 10 ports that the kernel may choose are held by connections from 192.0.2.1 to "
        "198.51.100.1:443: 7 TIME_WAIT, 3 ESTABLISHED."
    )
    assert "portroom set tcp_tw_reuse=1 --dry-run" == cause.command
    assert case.causes()["ports_blocked"].sentence == (
        "Of 10 ports none is known to be blocked for every destination; a remote that nobody is "
        "connected to would get at least 2 ports."
    )
    assert ["key_full"] == case.found()
    assert 7 == cause.numbers["time_wait_sockets"]


def test_owners_are_named_with_their_sockets():
    """The process that holds most comes first."""
    case = of(table(*PORTS))
    (key,) = case.scene.keys
    scene = msgspec.structs.replace(case.scene, keys=(msgspec.structs.replace(key, owners=(WEB,)),))
    sentence = case._replace(scene=scene).causes()["key_full"].sentence

    assert sentence.endswith(" Owners: web (pid 4711, 7 sockets).")


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (TcpState.CLOSE_WAIT, "portroom sessions --state CLOSE_WAIT --remote 198.51.100.1:443"),
        (TcpState.SYN_SENT, "portroom explain ETIMEDOUT --remote 198.51.100.1:443"),
        (TcpState.FIN_WAIT2, "portroom sessions --state FIN_WAIT2 --remote 198.51.100.1:443"),
        (TcpState.ESTABLISHED, "portroom set range=15000-64001 --reserve --dry-run"),
        (TcpState.LAST_ACK, "portroom set range=15000-64001 --reserve --dry-run"),
    ],
)
def test_the_next_command_follows_the_state_of_most_sockets(state, command):
    """A leak, a silent destination and too many connections want different things."""
    assert command == of(table(*PORTS, state=state)).causes()["key_full"].command


def test_a_setting_that_would_not_help_is_not_proposed():
    """Without timestamps TIME_WAIT is never reused; a wide range is wide already."""
    waiting = table(*PORTS, state=TcpState.TIME_WAIT)
    without = of(waiting, settings={"tcp_timestamps": 0}).causes()["key_full"]
    wide = PortRange(10000, 64999)
    all_of_it = of(table(*range(10000, 65000)), settings={"ephemeral": wide}).causes()["key_full"]

    assert "tcp_tw_reuse" not in without.command + without.remedy
    assert "portroom sessions --remote 198.51.100.1:443" == all_of_it.command


def test_listeners_and_bound_sockets_block_the_ports_for_all():
    """Each kind is counted, and the destination itself holds nothing."""
    case = of(
        *(listener(port) for port in PORTS[:4]),
        table(*PORTS[4:7], kind=Kind.BOUND, state=TcpState.BOUND_INACTIVE, remote=("0.0.0.0", 0)),
        table(PORTS[7], kind=Kind.EXPLICIT, remote=OTHER),
        accepted=((PORTS[8], 5), (PORTS[9], 1)),
    )
    cause = case.causes()["ports_blocked"]

    assert ["ports_blocked"] == case.found()
    assert cause.sentence == (
        "All 10 ports that the kernel may choose are out for every destination: 4 by listeners, "
        "2 by connections that were accepted there, 3 by sockets that are bound and not "
        "connected, 1 by connections from a port that the program named."
    )
    assert "IP_BIND_ADDRESS_NO_PORT" in cause.remedy
    assert "portroom sessions --proto tcp --local :40000-40009" == cause.command
    assert RULED_OUT == case.verdict("key_full")


def test_ports_that_the_probe_was_refused_are_blocked_and_most_go_somewhere():
    """Bind-first connections to another destination, which the kernel itself betrayed."""
    case = of(table(*PORTS, remote=OTHER), held=set(PORTS))
    cause = case.causes()["ports_blocked"]

    assert ["ports_blocked"] == case.found()
    assert "10 by connections that bound before they connected" in cause.sentence
    assert "most of them to 198.51.100.2:80" in cause.sentence


def test_without_the_probe_there_is_a_doubt_and_the_command_that_settles_it():
    """The kernel does not tell of connections to elsewhere whether they bound first."""
    case = of(table(*PORTS, remote=OTHER))
    cause = case.causes()["ports_blocked"]

    assert POSSIBLE == cause.verdict
    assert (
        "10 ports of connections to other destinations were bound before connect()"
        in cause.sentence
    )
    assert "portroom headroom 198.51.100.1:443 --probe --probe-last" == cause.command
    assert case.causes()["key_full"].sentence == (
        "Connections to 198.51.100.1:443 itself hold none of 10 ports."
    )


def test_two_free_ports_of_the_probe_rule_both_out():
    """It stopped there; the others stay in doubt, and do not matter."""
    case = of(table(*PORTS, remote=OTHER), free=set(PORTS[:2]))

    assert [] == case.found()
    assert RULED_OUT == case.verdict("key_full")
    assert "At least 2 ports of 10 are free" in case.causes()["ports_blocked"].sentence


def test_both_are_found_with_their_shares_where_both_contribute():
    """Six of its own, four listeners: each would have left ports alone."""
    case = of(table(*PORTS[:6]), *(listener(port) for port in PORTS[6:]))
    causes = case.causes()

    assert ["key_full", "ports_blocked"] == case.found()
    assert "6 of the 10 ports that the kernel may choose (60 %)" in causes["key_full"].sentence
    assert "The other 4 are blocked" in causes["key_full"].sentence
    assert "4 of the 10 ports that the kernel may choose (40 %)" in causes["ports_blocked"].sentence
    assert (6, 4) == tuple(causes["key_full"].numbers[f"{who}_ports"] for who in ("own", "blocked"))


def test_bind_first_connections_of_the_destination_itself_are_both_and_the_graver_leads():
    """Its ten 4-tuples hold the ports, and nobody else gets one: the numbers agree."""
    case = of(table(*PORTS), blocked=set(PORTS))
    causes = case.causes()

    assert ["ports_blocked", "key_full"] == case.found()
    assert "10 by connections that bound before they connected" in causes["ports_blocked"].sentence
    assert "to 198.51.100.1:443 itself hold 10 of them" in causes["ports_blocked"].sentence
    assert "All 10 are blocked for every other destination" in causes["key_full"].sentence
    assert "more destination addresses" not in causes["key_full"].remedy
    assert (10, 10, 10) == tuple(
        causes["key_full"].numbers[f"{who}_ports"] for who in ("own", "blocked", "own_blocked")
    )


def test_without_a_destination_ports_that_are_out_for_all_are_ports_blocked_alone():
    """A connection to anywhere else would fail as well."""
    case = of(table(*PORTS), to=None, blocked=set(PORTS))

    assert ["ports_blocked"] == case.found()
    assert case.causes()["key_full"].sentence == (
        "Connections to 198.51.100.1:443 hold 10 of 10 ports. All 10 are out for every destination."
    )


def test_a_full_key_that_nobody_was_asked_about_leaves_a_doubt():
    """Its connections may have bound first: never that none is blocked."""
    cause = of(table(*PORTS)).causes()["ports_blocked"]

    assert POSSIBLE == cause.verdict
    assert "whether 10 ports of connections to the destination itself were bound" in cause.sentence
    assert "portroom explain EADDRNOTAVAIL --remote 198.51.100.1:443" == cause.command


def test_a_probe_that_stopped_knows_the_least_that_is_blocked():
    """One refused, two given: of the others nothing was asked."""
    case = of(table(*PORTS), blocked={PORTS[0]}, shared=set(PORTS[1:3]))

    assert "At least 1 of them is blocked for every other" in case.causes()["key_full"].sentence


def test_a_key_from_another_source_is_full_only_for_programs_that_bind_it():
    """The route gives an address that has every port."""
    elsewhere = table(*PORTS, local="192.0.2.2")
    case = of(elsewhere)
    both = KeysWanted(Protocol.TCP, Operation.CONNECT, (THERE,))
    keys = tuple(as_key(one) for one in find_keys(case.scene.read, both).measured)
    scene = msgspec.structs.replace(case.scene, keys=case.scene.keys + keys)
    case = case._replace(scene=msgspec.structs.replace(scene, probed=Probed(free=TWO, shared=TWO)))
    cause = case.causes()["key_full"]

    assert [] == case.found()
    assert POSSIBLE == cause.verdict
    assert cause.sentence.startswith("Only for a program that binds 192.0.2.2: all 10 ports")
    assert cause.command.endswith("--remote 198.51.100.1:443 --from 192.0.2.2")
    named = case._replace(asked=msgspec.structs.replace(case.asked, from_address="192.0.2.2"))
    assert ["key_full"] == named.found()


def test_one_listener_in_a_whole_range_is_not_to_blame():
    """Less than one of twenty ports did not exhaust the key."""
    hundred = {"ephemeral": PortRange(40000, 40099)}
    tables = table(*range(40000, 40099)), listener(40099)
    case = of(*tables, settings=hundred, shared={40000, 40001})

    assert ["key_full"] == case.found()
    assert "Of 100 ports only 1 is known to be blocked" in case.causes()["ports_blocked"].sentence


def test_a_key_that_is_nearly_full_is_possible_once_something_failed():
    """A burst of a moment ago may have met no port; without an errno nothing failed."""
    hundred = {"ephemeral": PortRange(40000, 40099)}
    tables = table(*range(40000, 40096))

    assert POSSIBLE == of(tables, settings=hundred).verdict("key_full")
    assert RULED_OUT == of(tables, settings=hundred, error=None).verdict("key_full")
    assert "portroom trace" == of(tables, settings=hundred).causes()["key_full"].command


def test_time_waits_that_may_be_reused_are_a_doubt_of_the_key_itself():
    """With tcp_tw_reuse=1 it depends on timestamps of the other end, which nobody tells."""
    waits = table(*PORTS, state=TcpState.TIME_WAIT, remaining_ms=(1000,) * 10)
    case = of(waits, settings={"tcp_tw_reuse": 1})
    cause = case.causes()["key_full"]

    assert POSSIBLE == cause.verdict
    assert "whether 10 TIME_WAITs of the destination may be reused" in cause.sentence
    assert RULED_OUT == case.verdict("ports_blocked")


def test_the_last_port_of_a_same_parity_range_is_a_doubt():
    """The search leaves one end out."""
    odd = {"ephemeral": PortRange(40000, 40010)}
    case = of(table(*range(40001, 40011)), settings=odd)
    cause = case.causes()["key_full"]

    assert POSSIBLE == cause.verdict
    assert "both ends of the range are even or both odd" in cause.sentence


def test_no_port_is_looked_for_where_something_fails_before():
    """A named port, an address that is not here, a destination without a way."""
    full = table(*PORTS)
    unreachable = (Reached(remote=THERE, local_address=None, error="ENETUNREACH"),)
    cases = [
        of(full, asked={"from_port": 40001}),
        of(full, asked={"from_address": HERE}, address=Address(address=HERE, error=NOT_AVAILABLE)),
        of(full, reached=unreachable),
    ]

    for case in cases:
        assert {RULED_OUT} == {case.verdict(name) for name in ("key_full", "ports_blocked")}


def test_udp_has_other_causes():
    """No 4-tuple counts for it."""
    case = of(table(*PORTS), asked={"protocol": Protocol.UDP})

    assert None is case.verdict("key_full")
    assert None is case.verdict("ports_blocked")


def test_what_could_not_be_read_is_unknown_and_says_why():
    """Neither found nor ruled out."""
    case = of(table(*PORTS))
    read = msgspec.structs.replace(case.scene.read, groups=Gap("sock_diag", "EPERM"))
    case = case._replace(scene=msgspec.structs.replace(case.scene, read=read, keys=()))
    cause = case.causes()["key_full"]

    assert UNKNOWN == cause.verdict
    assert "sock_diag" in cause.sentence
    assert "EPERM" in cause.sentence


def test_a_destination_without_a_known_local_address_is_unknown():
    """The command says how to name one."""
    case = of(table(*PORTS, remote=OTHER))
    cause = case._replace(scene=msgspec.structs.replace(case.scene, keys=())).causes()["key_full"]

    assert UNKNOWN == cause.verdict
    assert cause.command.endswith("--remote 198.51.100.1:443 --from ADDRESS")


def test_without_a_destination_the_fullest_is_judged_and_listeners_alone_block():
    """Nobody is connected anywhere, and still no connect() would get a port."""
    full = of(table(*PORTS), to=None)
    blocked = of(*(listener(port) for port in PORTS), to=None)

    assert "key_full" in full.found()
    assert ["ports_blocked"] == blocked.found()
    assert [] == of(to=None).found()


def test_bind_first_to_one_destination_is_possible_for_all_others():
    """Without a destination to probe, the command asks for one."""
    cause = of(table(*PORTS), to=None).causes()["ports_blocked"]

    assert POSSIBLE == cause.verdict
    assert "portroom explain EADDRNOTAVAIL --remote ADDRESS:PORT" == cause.command


def test_commands_look_where_the_scene_was_read_and_hostile_names_are_quoted():
    """A namespace with blanks in its name does not become two words."""
    shop = NetnsId("a shop; rm", 5, 6, "named")
    case = of(table(*PORTS), settings={"netns": shop})

    assert case.causes()["key_full"].command.endswith("--dry-run --netns 'a shop; rm'")


def test_every_eligible_port_counts_once():
    """Own, blocked, in doubt and free are all there are, whoever shares a port."""
    case = of(table(*PORTS[:5]), table(*PORTS[3:7], kind=Kind.EXPLICIT), listener(PORTS[9]))
    numbers = case.causes()["key_full"].numbers
    parts = ("own_ports", "blocked_ports", "doubtful_ports", "free_ports")

    assert TEN.ports == sum(numbers[part] for part in parts) - numbers["own_blocked_ports"]
    assert (7, 5, 4) == tuple(
        numbers[part] for part in ("own_ports", "blocked_ports", "own_blocked_ports")
    )
    assert isinstance(case.scene.keys[0], Key)


def test_processes_with_ports_of_the_range_are_named_where_they_were_read():
    """Whoever keeps ports from everybody is among them."""
    case = of(*(listener(port) for port in PORTS))
    key = KeyOwners(EVERYBODY.protocol, EVERYBODY.family, EVERYBODY.group_key, (WEB,), 0)
    read = msgspec.structs.replace(case.scene.read, owners=Owners(by_key=(key,)))
    case = case._replace(scene=msgspec.structs.replace(case.scene, read=read))

    assert case.causes()["ports_blocked"].sentence.endswith(
        ": 10 by listeners. Owners: web (pid 4711, 7 sockets)."
    )


def test_sockets_that_are_not_listed_may_block_ports_and_that_is_said():
    """Ten of ten ports may be held by such: possible, and never ruled out."""
    case = of(unseen=10)
    cause = case.causes()["ports_blocked"]

    assert POSSIBLE == cause.verdict
    assert cause.sentence == (
        "None of 10 ports is surely free. The kernel does not tell whether 10 ports are out for "
        "all: by connections to other destinations that were bound before connect(), or by "
        "sockets that are only bound, which this kernel does not list."
    )


def test_what_a_kernel_refuses_that_was_asked_once_is_by_bound_sockets_too():
    """Nobody saw connections there that could have bound first."""
    case = of(to=None, unseen=10, blocked=set(PORTS))
    sentence = case.causes()["ports_blocked"].sentence

    assert "only bound, which this kernel does not list" in sentence


def test_a_kernel_that_gave_one_port_is_not_asked_again():
    """The probe was made: what it leaves in doubt no other option settles."""
    cause = of(table(*PORTS), shared={PORTS[0]}).causes()["ports_blocked"]

    assert POSSIBLE == cause.verdict
    assert cause.sentence == (
        "The kernel does not tell whether 9 ports of connections to the destination itself were "
        "bound before connect(), and so out for every other one as well; a remote that nobody is "
        "connected to would get at least 1 port."
    )
    assert "--no-probe" not in cause.remedy
    assert "portroom sessions --proto tcp --local :40000-40009" == cause.command
