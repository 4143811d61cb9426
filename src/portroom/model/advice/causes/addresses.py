"""Addresses, not ports: one that is not here, one that is missing, or a pair that exists."""

from __future__ import annotations

from portroom.model.advice.causes.pools import went
from portroom.model.advice.causes.table import (
    NOT_AVAILABLE,
    Advice,
    found,
    possible,
    ruled_out,
    unknown,
)
from portroom.model.advice.causes.words import command, gap_words, owners_words, tool
from portroom.model.facts.explanation import Cause, ExplainQuestion
from portroom.model.facts.gaps import Gap, part_or_none
from portroom.model.facts.scene import Holding, Reached, Scene
from portroom.model.facts.sockets import (
    Endpoint,
    Protocol,
    is_link_local,
    is_loopback,
    packed_address,
)

TUPLE_CLASH, NOT_LOCAL, NO_SOURCE = "tuple_clash", "address_not_local", "no_source_address"

TIMESTAMPS = "net.ipv4.tcp_timestamps"


FORBIDDEN = frozenset({"EACCES", "EHOSTUNREACH", "EINVAL"})
"""What routes of the types prohibit, unreachable and blackhole give."""

REFUSALS = {
    NOT_AVAILABLE: "there is a route, and no local address to go from.",
    "ENETUNREACH": "there is no route.",
    "EACCES": "a route or a rule prohibits it.",
    "EHOSTUNREACH": "a route says that it cannot be reached.",
    "EINVAL": "its route is a black hole.",
    "EAFNOSUPPORT": "this kernel has no IPv6.",
}
"""Why connect() finds no way, by the errno that it gives."""


def tuple_clash(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether the very pair of endpoints is in use already."""
    if asked.protocol is Protocol.UDP:
        return None  # UDP has no such check: several sockets may have one pair.
    if scene.address is not None and scene.address.error:
        return ruled_out(TUPLE_CLASH, "bind() to the local address fails before.")
    if not asked.from_port or asked.remote is None:
        return _nothing_named(asked, scene)
    if isinstance(scene.holdings, Gap):
        return unknown(
            TUPLE_CLASH,
            f"The sockets on port {asked.from_port} could not be read: {gap_words(scene.holdings)}.",
        )
    pair = f"from port {asked.from_port} to {asked.remote}"
    same = [one for one in scene.holdings if _same_pair(one, asked, scene)]
    if same:
        return _clash(min(same, key=lambda one: one.device), asked, scene)
    return ruled_out(TUPLE_CLASH, f"No TCP socket goes {pair}.")


def _nothing_named(asked: ExplainQuestion, scene: Scene) -> Cause:
    """Return the verdict where the local port or the destination is not known."""
    remote = asked.remote or "ADDRESS:PORT"
    return unknown(
        TUPLE_CLASH,
        "Only a program that names its local port can meet this. Name both ends to look.",
        command(scene, "explain", NOT_AVAILABLE, "--from", "ADDRESS:PORT", "--remote", remote),
    )


def _same_pair(one: Holding, asked: ExplainQuestion, scene: Scene) -> bool:
    """Say whether a socket has exactly the two endpoints that are asked about."""
    if one.protocol is not Protocol.TCP or one.remote is None:
        return False
    return any(
        one.remote.port == path.remote.port
        and _same(one.remote.address, path.remote.address)
        and _comes_from(one, asked, path)
        for path in went(scene)
    )


def _comes_from(one: Holding, asked: ExplainQuestion, path: Reached) -> bool:
    """Say whether a socket is on the local address that the connection would come from."""
    local = asked.from_address
    if local is None or not any(packed_address(local)[1]):
        local = path.local_address
    return local is None or _same(one.local.address, local)


def _same(one: str, other: str) -> bool:
    """Say whether two texts are one address; v4-mapped IPv6 is IPv4."""
    return packed_address(one) == packed_address(other)


def _clash(one: Holding, asked: ExplainQuestion, scene: Scene) -> Cause:
    """Return the verdict about a socket with the same two endpoints."""
    pair = f"{one.local} to {one.remote}"
    sentence = f"A connection from {pair} exists already, in {one.state}.{owners_words(one.owners)}"
    remedy = (
        "Let the kernel choose the port (do not bind, or bind port 0 with "
        "IP_BIND_ADDRESS_NO_PORT); or name another port, or let the old connection end."
    )
    advice = Advice(
        remedy,
        command(scene, "sessions", "--local", f":{asked.from_port}", "--remote", str(one.remote)),
    )
    figures = {"local_port": asked.from_port}
    if one.device:
        # kernel case c29: it is not in the way of a socket that is bound to no device.
        sentence += f" It is bound to device {one.device}: in the way of others bound there alone."
        return possible(TUPLE_CLASH, sentence, advice, figures)
    if one.state != "TIME_WAIT":
        return found(TUPLE_CLASH, sentence, advice, figures)
    settings = part_or_none(scene.read.settings)
    if settings is not None and not settings.number(TIMESTAMPS, 1):
        sentence += " TIME_WAIT keeps the pair for 60 seconds, since tcp_timestamps is 0."
        return found(TUPLE_CLASH, sentence, advice, figures)
    if is_loopback(*packed_address(one.local.address)):
        # Source: Linux net/ipv4/tcp_ipv4.c, tcp_twsk_unique without a TIME_WAIT pointer.
        return ruled_out(
            TUPLE_CLASH,
            f"The connection from {pair} is in TIME_WAIT, which connect() from a named port takes "
            "over at once where timestamps were used, as on loopback.",
        )
    sentence += (
        " connect() from a named port takes a TIME_WAIT over at once, but only if that connection "
        "used timestamps, which the kernel does not tell."
    )
    return possible(TUPLE_CLASH, sentence, advice, figures)


def address_not_local(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether a socket may be bound to the local address at all."""
    one = scene.address
    if one is None and asked.from_address is not None:
        return unknown(NOT_LOCAL, f"Whether {asked.from_address} is of this host was not asked.")
    if one is None:
        return unknown(
            NOT_LOCAL,
            "No local address was named. A program that binds one that this host does not have "
            "gets the same error: look in its configuration and name it with --from.",
            command(scene, "explain", NOT_AVAILABLE, "--from", "ADDRESS"),
        )
    if not one.error:
        return ruled_out(NOT_LOCAL, f"The kernel lets a socket be bound to {one.address}.")
    if one.error != NOT_AVAILABLE:
        return ruled_out(
            NOT_LOCAL,
            f"bind() to {one.address} fails with {one.error}, not with {NOT_AVAILABLE}.",
        )
    return found(
        NOT_LOCAL,
        f"bind() to {one.address} fails with {NOT_AVAILABLE}: no device of this namespace has that "
        "address (or it is an IPv6 address that is not ready yet, or lacks its %device). No port "
        "is to blame.",
        Advice(
            "Put the right address into the program's configuration, or 0.0.0.0 or :: for any; or "
            "give the address to a device. For one that moves between hosts, as of keepalived, "
            "there is net.ipv4.ip_nonlocal_bind.",
            tool(scene, "ip address show"),
        ),
        {"local_address": one.address},
    )


def no_source_address(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether the kernel has a local address to go from to the destination."""
    if asked.remote is None:
        return unknown(
            NO_SOURCE,
            "No destination was named: whether there is a local address to go from is asked "
            "for each.",
            command(scene, "explain", NOT_AVAILABLE, "--remote", "ADDRESS:PORT"),
        )
    if scene.address is not None and scene.address.error:
        bound = scene.address
        return ruled_out(NO_SOURCE, f"bind() to {bound.address} fails before, with {bound.error}.")
    if isinstance(scene.reached, Gap) or not scene.reached:
        gap = scene.reached
        reason = gap_words(gap) if isinstance(gap, Gap) else "nobody looked"
        return unknown(NO_SOURCE, f"The way to {asked.remote} could not be asked for: {reason}.")
    refused = [one for one in scene.reached if one.error]
    if not refused:
        ways = ", ".join(f"{one.remote} from {one.local_address}" for one in scene.reached)
        return ruled_out(NO_SOURCE, f"There is a route and a local address: {ways}.")
    one = next((one for one in refused if one.error == NOT_AVAILABLE), refused[0])
    others = [each.remote for each in scene.reached if not each.error]
    numbers = {"error_now": one.error}
    sentence = _refused(one, others)
    if one.error == NOT_AVAILABLE or asked.error is None:
        return found(NO_SOURCE, sentence, _way_out(one, others, scene), numbers)
    also = "" if _lacks_device(one) else ", but comes and goes with the same routes"
    sentence += f" That is not {NOT_AVAILABLE}{also}."
    return possible(NO_SOURCE, sentence, _way_out(one, others, scene), numbers)


def _lacks_device(one: Reached) -> bool:
    """Say whether an address of one link was written without its device."""
    address = one.remote.address
    return (
        one.error == "EINVAL" and "%" not in address and is_link_local(packed_address(address)[1])
    )


def _needs_lo(one: Reached) -> bool:
    """Say whether loopback has no route: only a device lo that is down does that."""
    return one.error == "ENETUNREACH" and is_loopback(*packed_address(one.remote.address))


def _refused(one: Reached, others: list[Endpoint]) -> str:
    """Return that connect() fails for want of a way, and where it would work."""
    text = f"connect() to {one.remote} fails with {one.error} before any port is looked for: "
    if one.ipv6_off:
        text += "IPv6 is switched off here."
    elif _lacks_device(one):
        text += "an address of one link needs the device that it is on."
    elif _needs_lo(one):
        text += "the device lo is down, or lost its address."
    else:
        text += REFUSALS.get(one.error, "routing refuses it.")
    if others:
        text += f" {others[0]} can be reached."
    return text


def _way_out(one: Reached, others: list[Endpoint], scene: Scene) -> Advice:
    """Return what helps with a destination that cannot be reached."""
    family = "-6 " if ":" in one.remote.address else ""
    words = tool(scene, f"ip {family}route get {one.remote.address.partition('%')[0]}")
    if one.ipv6_off:
        instead = f"Use {others[0]}, or switch" if others else "Switch"
        return Advice(
            f"{instead} IPv6 on (net.ipv6.conf.all.disable_ipv6=0, and that of the device). "
            "A name such as localhost may lead to ::1 first.",
            tool(scene, "sysctl net.ipv6.conf.all.disable_ipv6"),
        )
    if _lacks_device(one):
        return Advice(
            f"Write the device behind the address: {one.remote.address}%DEVICE.",
            tool(scene, "ip -6 -br address show scope link"),
        )
    if _needs_lo(one):
        return Advice("Set the device up: ip link set lo up.", tool(scene, "ip address show lo"))
    if one.error in FORBIDDEN:
        return Advice("Mend that route, or remove it.", tool(scene, f"ip {family}route show"))
    instead = f"Use {others[0]}, or give" if others else "Give"
    return Advice(f"{instead} this namespace an address of that family and a route.", words)
