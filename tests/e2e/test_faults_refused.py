"""System calls that are refused: the same figures from elsewhere, and it is said."""

import socket
from collections import Counter

import pytest

from tests.e2e import seccomp
from tests.e2e.faults import alone, answered, ask, mount, needs_root, refused
from tests.kernel import crowd
from tests.kernel.sockets import accept_all, connected, listener, tcp, udp

WITHOUT_SOCK_DIAG = (seccomp.no_sock_diag, seccomp.no_netlink, seccomp.no_netlink_family)
UNREFUSED = (seccomp.no_ipv6_sockets, seccomp.no_namespaces)
SEEN_BY_SOCK_DIAG_ALONE = {"mptcp", "BOUND_INACTIVE"}


def gather():
    """Hold sockets of every kind that keep still, in this namespace."""
    crowd.ends()
    crowd.pending()
    crowd.others()
    tcp(("127.0.0.1", 0))
    udp(("127.0.0.1", 0))


def compared(filters, *words):
    """Return one answer without a filter, and one behind each of *filters*."""
    gather()
    return [ask(*words, "-o", "json", before=taken) for taken in (None, *filters)]


def figures(key):
    """Return what a key is and what is surely held, none of it in doubt."""
    names = ("protocol", "local_address", "remote_address", "remote_port", "eligible_ports")
    return tuple(key[name] for name in names), tuple(sorted(key["states"].items()))


def test_headroom_without_sock_diag_has_the_same_keys(netns):
    """Each key with the same sockets; that sockets only bound are unseen is said."""
    expected, *degraded = netns(compared, WITHOUT_SOCK_DIAG, "headroom")
    whole = {figures(key) for key in expected.json["keys"]}

    assert len(whole) > 5
    for ended in degraded:
        answered(ended, "degraded: read from /proc/net")
        assert whole == {figures(key) for key in ended.json["keys"]}


def test_headroom_without_sock_diag_never_promises_more_than_with_it(netns):
    """What may fit without the bound sockets is at least what fits with them."""
    expected, *degraded = netns(compared, WITHOUT_SOCK_DIAG[:1], "headroom", "127.0.0.1:9002")
    (truth,) = expected.json["keys"]

    for ended in degraded:
        (key,) = ended.json["keys"]

        assert truth["free_ports"] <= key["free_ports_max"]
        assert key["held_ports"] <= truth["held_ports"] + truth["doubtful_ports"]


def test_a_threshold_without_sock_diag_is_never_passed_for_sure(netns):
    """
    Bound sockets hold ports and are not seen: 3 and why, where root says 1.

    As many ports are in doubt as there may be of them, so that a lower threshold is passed.
    """

    def job():
        listener("127.0.0.1", 9000)
        for port in (40_008, 40_009):
            tcp(("127.0.0.1", port))
        words = "headroom", "127.0.0.1:9000", "--from", "127.0.0.1", "--warn-below"
        whole = ask(*words, "9")
        return (
            whole,
            ask(*words, "9", before=seccomp.no_sock_diag),
            ask(*words, "11", before=seccomp.no_sock_diag),
            ask(*words, "0", before=seccomp.no_sock_diag),
        )

    whole, degraded, fewer, passed = netns(job, ip_local_port_range="40000 40009")

    assert (1, 3, 1, 0) == (whole.status, degraded.status, fewer.status, passed.status)
    assert "cannot be decided: 127.0.0.1:9000 has between" in degraded.told
    assert "and 10." in degraded.told


def test_the_summary_without_sock_diag_lacks_only_what_is_bound(netns):
    """States and transports are the same; the gap names what is uncertain."""
    expected, *degraded = netns(compared, WITHOUT_SOCK_DIAG, "sessions", "--summary")
    states = without_bound(expected)

    for ended in degraded:
        answered(ended, "degraded", '"sessions.states.BOUND_INACTIVE"')
        assert states == without_bound(ended)


def without_bound(ended):
    """Return states and transports of a summary, but for what is only bound."""
    summary = ended.json["summary"]
    states = dict(summary["states"])
    states.pop("BOUND_INACTIVE", None)
    return states, summary["udp_states"], summary["transports"], summary["sockets_total"]


def test_sessions_without_sock_diag_lists_the_same_sockets(netns):
    """Row by row, but for MPTCP and what is only bound, which the gaps name."""
    expected, *degraded = netns(compared, WITHOUT_SOCK_DIAG, "sessions")
    rows = listed(expected)

    assert rows.total() > 20
    for ended in degraded:
        answered(ended)
        assert rows == listed(ended)
        assert "degraded" in ended.reasons
        assert "mptcp" in ended.reasons


def listed(ended):
    """Return protocol, state and both ends of each session, in no order."""
    names = ("protocol", "state", "local_address", "local_port", "remote_address", "remote_port")
    rows = (tuple(row[name] for name in names) for row in ended.json["sessions"])
    return Counter(row for row in rows if not SEEN_BY_SOCK_DIAG_ALONE & {row[0], row[1]})


def test_status_says_degraded_on_its_one_screen(netns):
    """The reason and the errno stand below the figures; owners are not readable."""

    def job():
        gather()
        return [ask("status", before=taken) for taken in WITHOUT_SOCK_DIAG]

    for ended, number in zip(netns(job), ("EPROTONOSUPPORT", "EPERM", "EAFNOSUPPORT"), strict=True):
        answered(ended, "degraded: read from /proc/net", number, "not readable")


def test_a_refused_route_is_not_called_a_missing_one(netns):
    """Without netlink a new destination is not known, until --from names the address."""

    def job():
        return [
            ask("headroom", "127.0.0.1:9", *words, before=seccomp.no_netlink)
            for words in ([], ["--from", "127.0.0.1"], ["--warn-below", "5"])
        ]

    unknown, known, undecided = netns(job)

    assert (3, "", 3) == (unknown.status, unknown.told, undecided.status)
    assert "the route to 127.0.0.1 could not be read (EPERM)" in unknown.answer
    answered(known, "28,232 more connections fit to 127.0.0.1:9")


@pytest.mark.parametrize("words", [("status",), ("headroom",), ("sessions", "--summary")])
def test_what_is_refused_beside_the_tables_changes_no_count(netns, words):
    """No IPv6 socket and no trial namespace: the sockets are the same."""
    expected, *others = netns(compared, UNREFUSED, *words)

    for ended in others:
        answered(ended)
        assert counted(expected) == counted(ended)


def counted(ended):
    """Return the counts of sockets of an answer, without those of the whole system."""
    answer = ended.json
    keys = answer.get("keys", answer.get("tightest", []))
    summary = answer.get("summary") or {}
    return sorted(map(figures, keys)), summary.get("states"), summary.get("transports")


def test_what_no_trial_could_tell_is_unknown(netns):
    """Without a namespace to try in, nothing is promised that a trial would prove."""
    expected, ended = netns(compared, [seccomp.no_namespaces], "headroom", "127.0.0.1:9002")
    (tried,), (untried,) = expected.json["keys"], ended.json["keys"]

    assert untried["free_ports"] <= tried["free_ports"]
    assert untried["free_ports_max"] >= tried["free_ports_max"]


def test_unseen_bound_sockets_are_told_where_no_trial_could_tell(netns):
    """A socket that is in no table may be one that is only bound."""

    def job():
        server = listener("127.0.0.1", 9002)
        with socket.socket():
            return ask("headroom", "-o", "json", before=seccomp.no_namespaces), server.fileno()

    ended, _ = netns(job)

    assert "this kernel is not known to list sockets that are only bound" in ended.reasons


def test_a_probe_without_ipv6_sockets_still_probes_ipv4(netns):
    """What the kernel can be asked about is settled; IPv6 is refused in one line."""

    def job():
        server = listener("127.0.0.1", 9000)
        connected(("127.0.0.1", 9000))
        accept_all(server, 1)
        words = "headroom", "127.0.0.1:9000", "--probe", "-o", "json"
        return ask(*words, before=seccomp.no_ipv6_sockets)

    ended = netns(job)
    answered(ended)
    (key,) = ended.json["keys"]

    assert (28_231, 28_231) == (key["free_ports"], key["free_ports_max"])


@needs_root
@pytest.mark.parametrize("words", [("serve",), ("history",), ("metrics",)], ids=" ".join)
def test_without_a_proc_file_system_there_is_a_sentence(words):
    """It is no bug of portroom, and says what to mount."""

    def job():
        """Have nothing at /proc."""
        mount("tmpfs", "/proc", "tmpfs")
        return ask(*words, environment={"XDG_STATE_HOME": "/run"})

    refused(alone(job), 3, "/proc/sys/kernel/random/boot_id", "Mount the proc file system")
