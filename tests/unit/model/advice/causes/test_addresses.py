"""The same errno for addresses: not here, none to go from, or a pair that exists."""

import pytest

from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Address, Holding, ProcessSeen, Reached
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.sockets import Endpoint, Protocol
from portroom.model.facts.surroundings import OpenFiles
from tests.unit.made_causes import NOT_AVAILABLE, PORTS, THERE, WEB, of
from tests.unit.made_groups import HERE, table

SIX = Endpoint("2001:db8::9", 443)
NAMED = {"from_address": HERE, "from_port": 40001}


def holding(state="ESTABLISHED", local=HERE, remote=THERE, **changes):
    """Return one TCP socket on port 40001."""
    return Holding(
        protocol=changes.pop("protocol", Protocol.TCP),
        state=state,
        local=Endpoint(local, 40001),
        remote=remote,
        outgoing=True,
        **changes,
    )


def pair(*holdings, asked=NAMED, **parts):
    """Return a question about port 40001 by name."""
    return of(asked=asked, holdings=holdings, **parts)


def test_the_very_pair_clashes():
    """Both ends are the same: connect() refuses, however many ports are free."""
    case = pair(holding())
    cause = case.causes()["tuple_clash"]

    assert ["tuple_clash"] == case.found()
    assert "192.0.2.1:40001 to 198.51.100.1:443 exists already, in ESTABLISHED" in cause.sentence
    assert "portroom sessions --local :40001 --remote 198.51.100.1:443" == cause.command


@pytest.mark.parametrize(
    "other",
    [
        holding(remote=Endpoint("198.51.100.1", 80)),
        holding(remote=Endpoint("198.51.100.2", 443)),
        holding(local="192.0.2.2"),
        holding(state="LISTEN", remote=None),
        holding(protocol=Protocol.UDP),
    ],
)
def test_a_pair_that_differs_in_one_end_does_not_clash(other):
    """Address or port of either end, or the protocol."""
    assert RULED_OUT == pair(other).verdict("tuple_clash")


@pytest.mark.parametrize("address", [None, "0.0.0.0"])
def test_any_local_address_is_the_one_of_the_route(address):
    """The connection would come from there."""
    asked = {"from_address": address, "from_port": 40001}

    assert FOUND == pair(holding(), asked=asked).verdict("tuple_clash")
    assert RULED_OUT == pair(holding(local="192.0.2.2"), asked=asked).verdict("tuple_clash")


def test_a_mapped_address_is_the_same_pair():
    """IPv4 and v4-mapped IPv6 share one space of 4-tuples."""
    mapped = holding(local="::ffff:192.0.2.1", remote=Endpoint("::ffff:198.51.100.1", 443))

    assert FOUND == pair(mapped).verdict("tuple_clash")


def test_a_time_wait_is_taken_over_where_timestamps_were_used():
    """Surely on loopback, never without timestamps, and nobody knows elsewhere."""
    waiting = holding(state="TIME_WAIT")
    home = Endpoint("127.0.0.1", 9000)
    on_loopback = pair(
        holding(state="TIME_WAIT", local="127.0.0.1", remote=home),
        asked={"from_address": "127.0.0.1", "from_port": 40001},
        reached=(Reached(remote=home, local_address="127.0.0.1", error=""),),
    )

    assert POSSIBLE == pair(waiting).verdict("tuple_clash")
    assert FOUND == pair(waiting, settings={"tcp_timestamps": 0}).verdict("tuple_clash")
    assert RULED_OUT == on_loopback.verdict("tuple_clash")


def test_both_ends_have_to_be_named_and_their_sockets_read():
    """Else it is not known, and the command says what to add."""
    unnamed = of().causes()["tuple_clash"]
    unread = of(asked=NAMED, holdings=Gap("sock_diag", "EPERM")).causes()["tuple_clash"]

    assert (UNKNOWN, UNKNOWN) == (unnamed.verdict, unread.verdict)
    assert unnamed.command.endswith("--from ADDRESS:PORT --remote 198.51.100.1:443")
    assert "EPERM" in unread.sentence


def test_udp_sockets_may_share_a_pair():
    """The cause does not belong to the question."""
    assert None is pair(holding(), asked=NAMED | {"protocol": Protocol.UDP}).verdict("tuple_clash")


def test_an_address_that_the_kernel_refuses_is_named_alone():
    """However full the key is: bind() comes before."""
    refused = Address(address="192.0.2.77", error=NOT_AVAILABLE)
    case = of(table(*PORTS), asked={"from_address": "192.0.2.77"}, address=refused)

    assert ["address_not_local"] == case.found()
    assert "bind() to 192.0.2.77 fails with EADDRNOTAVAIL" in (
        case.causes()["address_not_local"].sentence
    )


@pytest.mark.parametrize("error", ["", "EACCES"])
def test_an_address_that_may_be_bound_or_fails_otherwise_is_ruled_out(error):
    """Another errno is another matter."""
    case = of(asked={"from_address": HERE}, address=Address(address=HERE, error=error))

    assert RULED_OUT == case.verdict("address_not_local")


def test_an_address_that_nobody_named_is_unknown():
    """A program may bind one of its configuration."""
    assert UNKNOWN == of().verdict("address_not_local")
    assert UNKNOWN == of(asked={"from_address": HERE}).verdict("address_not_local")


def reached(error, remote=SIX, ipv6_off=False):
    """Return what becomes of a connect to *remote*."""
    return Reached(
        remote=remote, local_address=None if error else HERE, error=error, ipv6_off=ipv6_off
    )


def test_ipv6_that_is_off_is_named_with_the_address_that_works():
    """A name that means both leads to IPv6 first."""
    case = of(
        table(*PORTS),
        reached=(reached(NOT_AVAILABLE, ipv6_off=True), reached("", THERE)),
    )
    cause = case.causes()["no_source_address"]

    assert FOUND == cause.verdict
    assert "IPv6 is switched off here. 198.51.100.1:443 can be reached." in cause.sentence
    assert "key_full" in case.found()


def test_no_source_address_is_the_only_cause_where_nothing_can_be_reached():
    """No port was looked for."""
    case = of(table(*PORTS), reached=(reached(NOT_AVAILABLE),))

    assert ["no_source_address"] == case.found()
    assert "ip -6 route get 2001:db8::9" == case.causes()["no_source_address"].command


def test_another_errno_of_the_route_is_a_possible_cause_of_this_one():
    """It comes and goes with the same routes; where any failure is asked for it is found."""
    unreachable = (reached("ENETUNREACH"),)

    assert POSSIBLE == of(reached=unreachable).verdict("no_source_address")
    assert FOUND == of(reached=unreachable, error=None).verdict("no_source_address")


def test_a_way_that_exists_rules_it_out_and_none_asked_for_is_unknown():
    """The sentence tells from which address."""
    assert "198.51.100.1:443 from 192.0.2.1" in of().causes()["no_source_address"].sentence
    assert RULED_OUT == of().verdict("no_source_address")
    assert UNKNOWN == of(to=None).verdict("no_source_address")
    assert UNKNOWN == of(reached=Gap("route", "EPERM")).verdict("no_source_address")


@pytest.mark.parametrize(
    ("remote", "error", "told"),
    [
        ("fe80::1", "EINVAL", "an address of one link needs the device"),
        ("2001:db8::9", "EINVAL", "its route is a black hole"),
        ("2001:db8::9", "EACCES", "a route or a rule prohibits it"),
        ("2001:db8::9", "EHOSTUNREACH", "a route says that it cannot be reached"),
        ("127.0.0.1", "ENETUNREACH", "the device lo is down"),
        ("198.51.100.1", "ENETUNREACH", "there is no route"),
    ],
)
def test_each_refusal_of_the_way_has_its_own_words(remote, error, told):
    """Only one of them is want of a route."""
    cause = of(reached=(reached(error, Endpoint(remote, 80)),)).causes()["no_source_address"]

    assert POSSIBLE == cause.verdict
    assert told in cause.sentence
    assert ("no route" in told) is ("no route" in cause.sentence)


def test_an_address_that_cannot_be_bound_leaves_no_word_of_the_way():
    """No local address was there to go from."""
    refused = Address(address="192.0.2.77", error=NOT_AVAILABLE)
    case = of(asked={"from_address": "192.0.2.77"}, address=refused)

    assert "bind() to 192.0.2.77 fails before" in case.causes()["no_source_address"].sentence


def test_commands_of_other_programs_run_where_the_scene_was_read():
    """On the host they would tell of the host."""
    shop = NetnsId("shop", 5, 6, "named")
    case = of(reached=(reached("ENETUNREACH"),), settings={"netns": shop})

    assert "ip netns exec shop ip -6 route get 2001:db8::9" == (
        case.causes()["no_source_address"].command
    )


def test_the_next_question_stays_with_the_process():
    """Its window and its limits are part of the answer; other commands need the namespace."""
    shop = NetnsId("pid:8", 5, 6, "container", 8)
    files = OpenFiles(WEB, 1, 10)
    process = ProcessSeen(owner=WEB, netns=shop, open_files=files, windows=())
    case = of(settings={"netns": shop}, process=process, reached=(reached("ENETUNREACH"),))
    causes = case.causes()

    assert causes["address_not_local"].command.endswith("--from ADDRESS --pid 4711")
    assert causes["no_source_address"].command.startswith("nsenter --net --target 8 ip -6")
