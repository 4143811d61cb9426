"""The settings that matter for local ports: one table.

Rules of this file:

- one row a sysctl, in the order in which a person asks;
- ``name`` is what people type and read, ``key`` what the kernel calls it;
- ``default`` is the kernel's own, as a new network namespace has it; None
  where it depends on the machine;
- ``meaning`` says what the setting does, ``does_not`` what it is often
  believed to do and does not.

Source: Linux Documentation/networking/ip-sysctl.rst, admin-guide/sysctl/fs.rst,
networking/nf_conntrack-sysctl.rst.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from portroom.errors import InvalidRequestError
from portroom.model.facts.ports import LAST_PORT, PortRange, PortSet
from portroom.model.facts.snapshot import SettingValue

RANGE_KEY = "net.ipv4.ip_local_port_range"

DEFAULT_RANGE = PortRange(32768, 60999)

TW_RECYCLE_KEY = "net.ipv4.tcp_tw_recycle"
"""No kernel has it since Linux 4.12, and files still name it."""

INT_MAX = 2**31 - 1
UINT_MAX = 2**32 - 1


class ValueType(enum.Enum):
    """The type of a value: a run of ports, a set of ports, or a whole number."""

    RANGE = "range"
    PORTS = "ports"
    NUMBER = "number"


class Scope(enum.Enum):
    """Whom a setting reaches: one network namespace, or the whole system."""

    NAMESPACE = "namespace"
    SYSTEM = "system"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """
    One sysctl: its type, bounds and default, its reach and its meaning.

    ``unit`` is a noun, or "" for a choice that ``meaning`` spells out.
    ``lowest`` and ``highest`` are the bounds that the kernel takes, both
    included; None where there is none or it depends on the machine.
    ``writable`` says that portroom changes this setting when asked.
    ``absent`` says why a kernel may not have it. ``aliases`` are plain words
    that mean it too.
    """

    name: str
    key: str
    aliases: tuple[str, ...] = ()
    type: ValueType = ValueType.NUMBER
    unit: str = ""
    lowest: int | None = None
    highest: int | None = None
    default: SettingValue | None = None
    scope: Scope = Scope.NAMESPACE
    writable: bool = False
    meaning: str
    does_not: str
    absent: str = "this kernel does not have it"

    @property
    def words(self) -> tuple[str, ...]:
        """Return every word that means this setting, the one that is shown first."""
        return (self.name, self.key, self.key.rpartition(".")[2], *self.aliases)


SETTINGS = (
    Setting(
        name="range",
        key=RANGE_KEY,
        type=ValueType.RANGE,
        unit="port",
        lowest=1,
        highest=LAST_PORT,
        default=DEFAULT_RANGE,
        writable=True,
        meaning=(
            "The ephemeral range: local ports that the kernel chooses from for "
            "connect() and for bind() to port 0, both ends included; one range "
            "for IPv4 and IPv6, TCP and UDP."
        ),
        does_not=(
            "It does not limit all connections together, but those to one remote "
            "endpoint. It is not passed on to new network namespaces, so not to "
            "containers and pods; SNAT does not use it; sockets that exist keep "
            "their ports."
        ),
    ),
    Setting(
        name="reserved",
        key="net.ipv4.ip_local_reserved_ports",
        type=ValueType.PORTS,
        unit="port",
        lowest=0,
        highest=LAST_PORT,
        default=PortSet(),
        writable=True,
        meaning=(
            "Reserved ports: the kernel never chooses them itself, so a service "
            "inside the range keeps its port."
        ),
        does_not=(
            "It does not stop a program that names the port in bind(), nor one "
            "that draws its own random ports; a reserved port outside the range "
            "changes nothing."
        ),
    ),
    Setting(
        name="ip_unprivileged_port_start",
        key="net.ipv4.ip_unprivileged_port_start",
        aliases=("unprivileged_port_start",),
        unit="port",
        lowest=0,
        highest=LAST_PORT,
        default=1024,
        writable=True,
        meaning=(
            "The first port that a program may bind without CAP_NET_BIND_SERVICE; "
            "the ephemeral range cannot begin below it."
        ),
        does_not=(
            "It does not move the range: while it stands above the wanted first "
            "port, the kernel refuses the range, and the other way round."
        ),
    ),
    Setting(
        name="ip_autobind_reuse",
        key="net.ipv4.ip_autobind_reuse",
        aliases=("autobind_reuse",),
        lowest=0,
        highest=1,
        default=0,
        writable=True,
        meaning=(
            "1 lets bind() to port 0 share a port between sockets that all have "
            "SO_REUSEADDR, once no port is free; 0 does not."
        ),
        does_not=(
            "It does not help connect() without a bind, nor two connections to the "
            "same remote endpoint, and it may break programs: "
            "IP_BIND_ADDRESS_NO_PORT on the socket is the better way."
        ),
    ),
    Setting(
        name="tcp_tw_reuse",
        key="net.ipv4.tcp_tw_reuse",
        aliases=("tw_reuse",),
        lowest=0,
        highest=2,
        default=2,
        writable=True,
        meaning=(
            "Whether connect() may take over the local port of a TIME_WAIT to the "
            "same remote endpoint: 0 never, 1 always, 2 on loopback only; needs TCP "
            "timestamps on both sides."
        ),
        does_not=(
            "It does nothing for a server that accepts connections, and nothing "
            "for ports got by bind() to port 0. It is not tcp_tw_recycle, which "
            "broke clients behind NAT and is gone since Linux 4.12."
        ),
    ),
    Setting(
        name="tcp_tw_reuse_delay",
        key="net.ipv4.tcp_tw_reuse_delay",
        aliases=("tw_reuse_delay",),
        unit="ms",
        lowest=1,
        highest=60_000,
        default=1000,
        writable=True,
        meaning=(
            "How old a TIME_WAIT must be before tcp_tw_reuse may take its port. "
            "Kernels without this setting wait for the next second of their clock."
        ),
        does_not="It does not shorten TIME_WAIT, and does nothing where tcp_tw_reuse is 0.",
    ),
    Setting(
        name="tcp_fin_timeout",
        key="net.ipv4.tcp_fin_timeout",
        unit="s",
        default=60,
        meaning=(
            "How long a closed connection without a process waits in FIN_WAIT2 "
            "for the other side to close."
        ),
        does_not=(
            "It does not shorten TIME_WAIT: that lasts 60 s, fixed when the kernel is built."
        ),
    ),
    Setting(
        name="tcp_max_tw_buckets",
        key="net.ipv4.tcp_max_tw_buckets",
        unit="socket",
        highest=INT_MAX,
        meaning=(
            "The most TIME_WAIT entries of the namespace; over it a connection "
            "closes at once (TCPTimeWaitOverflow counts them)."
        ),
        does_not=(
            "It is no setting for ports: a low value ends TIME_WAIT early, "
            "and late packets of an old connection may then reach a new one."
        ),
    ),
    Setting(
        name="tcp_max_orphans",
        key="net.ipv4.tcp_max_orphans",
        unit="socket",
        scope=Scope.SYSTEM,
        meaning=(
            "The most TCP sockets that no process holds any more; over it the "
            "kernel resets connections (TCPAbortOnMemory counts them)."
        ),
        does_not="It does not count TIME_WAIT, and frees no port of an open connection.",
        absent="only the initial network namespace shows it",
    ),
    Setting(
        name="tcp_timestamps",
        key="net.ipv4.tcp_timestamps",
        lowest=0,
        highest=255,
        default=1,
        meaning=(
            "TCP timestamps: 0 off, 1 on with a random offset for each connection, "
            "2 on without; where off, no TIME_WAIT is reused, whatever tcp_tw_reuse "
            "says."
        ),
        does_not="Switching it off saves no port; it makes ports return later.",
    ),
    Setting(
        name="tcp_fastopen",
        key="net.ipv4.tcp_fastopen",
        unit="mask",
        default=1,
        meaning=(
            "TCP Fast Open; bit 0 is the client side, which `headroom --probe` "
            "needs to ask the kernel for a port without a packet."
        ),
        does_not="It does not change how many ports there are.",
    ),
    Setting(
        name="ip_local_port_step_width",
        key="net.ipv4.ip_local_port_step_width",
        aliases=("step_width",),
        unit="port",
        lowest=0,
        highest=UINT_MAX,
        default=0,
        writable=True,
        meaning=(
            "Above 0 the search for a port walks in random steps, drawn up to this "
            "width, so that ports after a reserved block are not chosen more often."
        ),
        does_not="It changes the order only, never which ports or how many can be chosen.",
    ),
    Setting(
        name="tcp_l3mdev_accept",
        key="net.ipv4.tcp_l3mdev_accept",
        lowest=0,
        highest=1,
        default=0,
        meaning=(
            "0 gives each VRF its own local ports for TCP; 1 makes one space of ports for all."
        ),
        does_not="It does nothing where no VRF device exists.",
        absent="this kernel is built without VRF",
    ),
    Setting(
        name="nf_conntrack_max",
        key="net.netfilter.nf_conntrack_max",
        unit="entry",
        scope=Scope.SYSTEM,
        meaning=(
            "The most connections that each namespace may track; over it new ones "
            "are dropped: connect() times out, a UDP send() fails with EPERM."
        ),
        does_not=(
            "It gives no port: too few ports show at once as EADDRNOTAVAIL, not as a timeout."
        ),
        absent="connection tracking is not loaded",
    ),
    Setting(
        name="file_max",
        key="fs.file-max",
        unit="file",
        scope=Scope.SYSTEM,
        meaning=(
            "The most open files of the whole system, sockets included; over it "
            "socket() fails with ENFILE."
        ),
        does_not=(
            "It does not raise the limit of one process, RLIMIT_NOFILE: over that "
            "one socket() fails with EMFILE, and /proc/PID/limits shows it."
        ),
    ),
    Setting(
        name="nr_open",
        key="fs.nr_open",
        unit="file",
        default=1_048_576,
        scope=Scope.SYSTEM,
        meaning="The highest RLIMIT_NOFILE that any process may be given.",
        does_not="It does not raise the limit of a process by itself.",
    ),
)
"""All settings that portroom knows, the ephemeral range first."""

KEYS = tuple(setting.key for setting in SETTINGS)


def parse_value(value_type: ValueType, text: str) -> SettingValue:
    r"""
    Parse the text of a setting, as the kernel tells it or in canonical form.

    Raises:
        ValueError: The text is not of that type; it is quoted.

    >>> parse_value(ValueType.RANGE, "15000 64000"), parse_value(ValueType.NUMBER, "-1\n")
    (PortRange(first=15000, last=64000), -1)
    """
    if value_type is ValueType.RANGE:
        return PortRange.parse(text)
    if value_type is ValueType.PORTS:
        return PortSet.parse(text)
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a number, got {text!r}") from None


def kernel_text(value: SettingValue) -> str:
    """
    Return a value as the kernel takes it, in canonical form: what ``parse_value`` reads again.

    >>> kernel_text(PortRange(15000, 64000)), kernel_text(PortSet.parse("1,2"))
    ('15000 64000', '1-2')
    """
    return f"{value.first} {value.last}" if isinstance(value, PortRange) else str(value)


def setting_named(word: str, among: Sequence[Setting] = SETTINGS) -> Setting:
    """
    Return the setting that a person means.

    Args:
        word: The name or an alias, the sysctl key with dots or slashes, or its
            last part.
        among: The settings that may be meant.

    Raises:
        InvalidRequestError: There is no such setting; the nearest is named.

    >>> setting_named("range") is setting_named("net/ipv4/ip_local_port_range")
    True
    >>> setting_named("tw_reuse").name
    'tcp_tw_reuse'
    """
    dotted = word.replace("/", ".")
    for setting in among:
        if dotted in setting.words:
            return setting
    raise InvalidRequestError(f"There is no setting {word!r}.", _suggestion(dotted, among))


def _suggestion(word: str, among: Sequence[Setting]) -> str:
    """Return a sentence with the nearest name, or with all names."""
    # Only the way of an error pays for difflib.
    from difflib import get_close_matches

    known = {near: setting.name for setting in among for near in setting.words}
    known |= {setting.key: setting.key for setting in among}
    nearest = get_close_matches(word, known, n=1)
    if nearest:
        return f"Did you mean {known[nearest[0]]!r}?"
    return f"Known are {', '.join(setting.name for setting in among)}."
