"""A network that is off: the answer, or why there is none."""

import json
from pathlib import Path

from tests.e2e.faults import MS_BIND, alone, answered, ask, mount, needs_root
from tests.kernel.harness import write_settings
from tests.kernel.sockets import fill, listener

UNKNOWN = "How many more connections fit is not known."


def ipv6_off():
    """Turn IPv6 off in this namespace."""
    Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")


def test_no_route_is_said_with_what_to_do(netns):
    """In an empty namespace: exit 3, the errno of connect, and --from."""
    v4, v6, data = netns(
        lambda: [
            ask("headroom", "203.0.113.9:443"),
            ask("headroom", "[2001:db8::1]:443"),
            ask("headroom", "203.0.113.9:443", "-o", "json"),
        ]
    )

    for ended, address in ((v4, "203.0.113.9"), (v6, "2001:db8::1")):
        assert (3, "", UNKNOWN) == (ended.status, ended.told, ended.answer.splitlines()[0])
        assert f"no route to {address} (ENETUNREACH)" in ended.answer
        assert "--from" in ended.answer
    assert (3, []) == (data.status, data.json["keys"])
    assert ["route"] == [gap["source"] for gap in data.json["gaps"]]


def test_a_local_address_that_is_named_needs_no_route(netns):
    """With --from the count of ports is known; whether packets pass is another matter."""
    ended = netns(lambda: ask("headroom", "203.0.113.9:443", "--from", "127.0.0.1"))

    answered(ended, "28,232 more connections fit to 203.0.113.9:443.")


def test_a_network_that_is_down_is_no_route(netns):
    """lo down: nothing can be connected to, and status still answers."""

    def job():
        import subprocess

        subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
        return ask("headroom", "127.0.0.1:443"), ask("status"), ask("headroom")

    headroom, status, every = netns(job)

    assert headroom.status in {0, 3}
    assert headroom.status == 0 or "no route to 127.0.0.1" in headroom.answer
    answered(status, "Up to 28,232 connections fit")
    answered(every)


def test_a_family_that_is_off_has_no_route(netns):
    """disable_ipv6: exit 3 for an IPv6 destination, and every other answer is whole."""

    def job():
        listener("127.0.0.1", 9000)
        fill(("127.0.0.1", 9000), at_most=3)
        ipv6_off()
        six = [ask("headroom", where) for where in ("[2001:db8::1]:443", "[::1]:443")]
        return six, [ask(word) for word in ("status", "headroom", "sessions", "settings")]

    six, others = netns(job)

    for ended in six:
        assert (3, "", UNKNOWN) == (ended.status, ended.told, ended.answer.splitlines()[0])
        assert "no route to " in ended.answer
    for ended in others:
        answered(ended)


@needs_root
def test_a_host_with_two_families_answers_for_the_one_that_is_on():
    """Its IPv4 address is a key; that there is no route to the other is a gap."""

    def job():
        ipv6_off()
        Path("/run/hosts").write_text("2001:db8::7 both.example\n127.0.0.7 both.example\n")
        mount("/run/hosts", "/etc/hosts", "", MS_BIND)
        return ask("headroom", "both.example:443", "-o", "json"), ask(
            "headroom", "both.example:443"
        )

    data, text = alone(job)
    (key,) = data.json["keys"]

    assert (0, "127.0.0.7") == (data.status, key["remote_address"])
    assert "no route to 2001:db8::7" in data.reasons
    answered(text, "more connections fit to 127.0.0.7:443", "no route to 2001:db8::7")


def test_every_port_reserved_is_exhaustion_and_no_fault(netns):
    """Nothing is eligible: said in words, no division by zero, in every format."""

    def job():
        listener("127.0.0.1", 9000)
        fill(("127.0.0.1", 9000), at_most=3)
        write_settings(ip_local_reserved_ports="40000-40009")
        words = [("status",), ("headroom",), ("headroom", "127.0.0.1:9000"), ("sessions",)]
        outputs = ("table", "json", "csv")
        return [ask(*each, "-o", output) for each in words for output in outputs]

    for ended in netns(job, ip_local_port_range="40000 40009"):
        assert (0, "") == (ended.status, ended.told), ended
    data = netns(
        lambda: ask("headroom", "127.0.0.1:9", "-o", "json"),
        ip_local_port_range="40000 40009",
        ip_local_reserved_ports="40000-40009",
    )
    (key,) = json.loads(data.answer)["keys"]

    assert (0, 0, True) == (key["eligible_ports"], key["free_ports_max"], key["exhausted"])


def test_a_range_of_one_port_is_counted(netns):
    """One port is one connection, and then none."""

    def job():
        listener("127.0.0.1", 9000)
        before = ask("headroom", "127.0.0.1:9000")
        fill(("127.0.0.1", 9000), at_most=5)
        return before, ask("headroom", "127.0.0.1:9000", "--warn-below", "1")

    before, after = netns(job, ip_local_port_range="40001 40001")

    answered(before, "1 more connection")
    assert 1 == after.status
