"""Hosts on which a connect is refused, or goes on, before any port is looked for.

Each function changes the namespace of the calling thread and is told by what it leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from portroom.kernel.reached import TENTATIVE
from tests.kernel.harness import ip, set_up, wait_until

HERE6, THERE6, AWAY6 = "2001:db8:1::5", "2001:db8:1::9", "2001:db8::1"
HERE4, THERE4, AWAY4 = "10.1.0.5", "10.1.0.9", "10.9.0.1"

KINDS = ("prohibit", "blackhole", "unreachable")


def put(key: str, value: object) -> None:
    """Write one sysctl below ``net``."""
    Path("/proc/sys/net", key).write_text(str(value))


def veth(*, trial: bool = False, generated: bool = True) -> None:
    """
    Make the devices ``near`` and ``far``, joined, both up.

    Args:
        trial: Whether a new IPv6 address is on trial for a second.
        generated: Whether they get a link-local address by themselves.
    """
    put("ipv6/conf/default/accept_dad", int(trial))
    put("ipv6/conf/default/addr_gen_mode", int(not generated))
    ip("link add near type veth peer name far")
    set_up("far")
    set_up("near")
    if generated and not trial:
        settle("near", "far")


def settle(*devices: str) -> None:
    """Return once each device has a link-local address that may be used."""

    def settled() -> bool:
        """Say whether they have: no trial is so short that it takes no time."""
        lines = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
        usable = {
            line[5]
            for line in lines
            if line[0].startswith("fe80") and not int(line[4], 16) & TENTATIVE
        }
        return usable >= set(devices)

    wait_until(settled, f"{devices} have a link-local address")


def plain() -> None:
    """Leave lo alone, as it is in every new namespace."""


def loopback_off() -> None:
    """Switch IPv6 off on lo: ``::1`` is gone."""
    put("ipv6/conf/lo/disable_ipv6", 1)


def all_off() -> None:
    """Switch IPv6 off everywhere."""
    put("ipv6/conf/all/disable_ipv6", 1)


def loopback_down() -> None:
    """Take lo down: ``::1`` is gone, 127.0.0.1 is not."""
    ip("link set lo down")


def loopback_removed() -> None:
    """Remove ``::1`` and leave IPv6 on."""
    ip("-6 address delete ::1/128 dev lo")


def loopback_off_with_device() -> None:
    """Switch IPv6 off on lo alone, beside a device with an address."""
    veth()
    ip(f"-6 address add {HERE6}/64 dev near nodad")
    loopback_off()


def all_off_but_one() -> None:
    """Switch IPv6 off everywhere, and on again on one device."""
    veth()
    all_off()
    put("ipv6/conf/near/disable_ipv6", 0)
    settle("near")
    ip(f"-6 address add {HERE6}/64 dev near nodad")


def device_off() -> None:
    """Switch IPv6 off on the device of the route; lo keeps ``::1``."""
    veth()
    ip(f"-6 address add {HERE6}/64 dev near nodad")
    put("ipv6/conf/near/disable_ipv6", 1)


def link_local_only() -> None:
    """Route everything out of a device that has a link-local address alone."""
    veth()
    ip("-6 route add default dev near")


def without_address() -> None:
    """Route everything out of a device that has no address of either family."""
    veth(generated=False)
    ip("-6 route add default dev near", "route add default dev near")


def on_trial() -> None:
    """Have one address, still on trial, beside ``::1``."""
    veth(trial=True, generated=False)
    ip(f"-6 address add {HERE6}/64 dev near", "-6 route add default dev near")


def on_trial_alone() -> None:
    """Have one address, still on trial, and nothing else."""
    on_trial()
    loopback_off()


def failed_trial() -> None:
    """Have one address that another host has as well, and nothing else."""
    veth(trial=True, generated=False)
    ip(f"-6 address add {HERE6}/64 dev far nodad", f"-6 address add {HERE6}/64 dev near")
    wait_until(lambda: " c8 " in Path("/proc/net/if_inet6").read_text(), "the trial failed")
    ip(f"-6 address delete {HERE6}/64 dev far", "-6 route add default dev near")
    loopback_off()


def addresses_of_the_device_only() -> None:
    """Demand an address of the outgoing device (use_oif_addrs_only), which has none."""
    put("ipv6/conf/default/use_oif_addrs_only", 1)
    veth(generated=False)
    ip(f"-6 address add {HERE6}/64 dev far nodad", "-6 route add default dev near")


def preferred_source_removed() -> None:
    """Remove the address that a route names as its source: IPv6 keeps the route, IPv4 does not."""
    veth()
    ip(
        f"-6 address add {HERE6}/64 dev near nodad",
        "-6 address add 2001:db8:1::6/64 dev near nodad",
    )
    ip(f"-6 route add {AWAY6}/128 via {THERE6} src 2001:db8:1::6")
    ip("-6 address delete 2001:db8:1::6/64 dev near")
    ip(f"address add {HERE4}/24 dev near", "address add 10.1.0.6/24 dev near")
    ip(f"route add {AWAY4}/32 via {THERE4} src 10.1.0.6", "address delete 10.1.0.6/24 dev near")


def routes_of_every_kind() -> None:
    """Have routes that refuse, in both families."""
    veth()
    ip(f"address add {HERE4}/24 dev near", f"-6 address add {HERE6}/64 dev near nodad")
    for number, kind in enumerate(KINDS):
        ip(f"route add {kind} 192.0.2.{64 * number}/26")
        ip(f"-6 route add {kind} 2001:db8:{number + 2}::/48")


def refusing_routes_without_source() -> None:
    """Have routes that refuse, and no IPv6 address at all."""
    loopback_off()
    for number, kind in enumerate(KINDS):
        ip(f"-6 route add {kind} 2001:db8:{number + 2}::/48")


REFUSED4 = tuple(f"192.0.2.{64 * number + 1}" for number in range(len(KINDS)))
REFUSED6 = tuple(f"2001:db8:{number + 2}::1" for number in range(len(KINDS)))

Way = tuple[str, str | None]

HOSTS: dict[Callable[[], None], list[Way]] = {
    plain: [
        *((there, None) for there in ("127.0.0.1", "::1", "0.0.0.0", "::", AWAY4, AWAY6)),
        *((there, None) for there in ("224.0.0.1", "255.255.255.255", "ff02::1", "fe80::1")),
        *((there, None) for there in ("::ffff:127.0.0.1", f"::ffff:{AWAY4}")),
    ],
    loopback_off: [("::1", None), ("::", None), ("127.0.0.1", None), (AWAY6, None)],
    all_off: [("::1", None), (AWAY6, None), ("ff02::1", None), ("fe80::1", None)],
    loopback_down: [("::1", None), ("127.0.0.1", None)],
    loopback_removed: [("::1", None)],
    loopback_off_with_device: [("::1", None), (AWAY6, None), (HERE6, None), ("fe80::9%near", None)],
    all_off_but_one: [("::1", None), (THERE6, None), ("fe80::9%near", None)],
    device_off: [(THERE6, None), (HERE6, None), ("fe80::9%near", None), ("::1", None)],
    link_local_only: [(AWAY6, None)],
    without_address: [(AWAY6, None), (AWAY4, None)],
    on_trial: [(AWAY6, None), (HERE6, None), (THERE6, HERE6)],
    on_trial_alone: [("::1", None), (AWAY6, None), (THERE6, HERE6)],
    failed_trial: [(AWAY6, None)],
    addresses_of_the_device_only: [(AWAY6, None)],
    preferred_source_removed: [(AWAY6, None), (AWAY4, None)],
    routes_of_every_kind: [
        *((there, None) for there in (*REFUSED4, *REFUSED6, "10.1.0.255")),
        (THERE4, "127.0.0.1"),
        (THERE4, HERE4),
        (THERE4, "10.77.0.1"),
        ("10.8.0.9", HERE4),
        ("127.0.0.1", HERE4),
        (THERE6, HERE6),
        (THERE6, "::1"),
        (THERE6, "::"),
        (THERE6, "2001:db8:77::1"),
        ("fe80::9%near", None),
        ("fe80::9", None),
    ],
    refusing_routes_without_source: [(there, None) for there in REFUSED6],
}
"""Hosts, and where to connect on each: to what, and from which address."""
