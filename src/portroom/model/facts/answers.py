"""The Answers: what a Snapshot means. One type a question.

The fields are those of the JSON that other programs rely on, in its order;
``None`` is JSON null. Ratios are 0…1. Additions only, never a change.
"""

from __future__ import annotations

import datetime

import msgspec

from portroom.model.facts.boot_lines import BootCandidate
from portroom.model.facts.snapshot import Gap, NetnsId
from portroom.model.facts.sockets import Owner
from portroom.model.facts.trial import BrokenOff, PendingTrial

SCHEMA_VERSION = 1


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer has: whose it is, when it was read, what is missing."""

    schema_version: int = SCHEMA_VERSION
    host: str
    taken_at: datetime.datetime
    netns: NetnsId
    gaps: tuple[Gap, ...] = ()


class RangeEnds(msgspec.Struct, frozen=True):
    """A run of ports, both ends included."""

    first: int
    last: int


class Key(msgspec.Struct, frozen=True):
    """
    How full one key is: one local address towards one remote endpoint.

    UDP and bind0 keys have no remote. ``held_ports`` is surely held,
    ``free_ports <= truth <= free_ports_max``, ``doubtful_ports`` is the
    difference: ports of which the kernel does not tell. Owners are empty
    with a Gap where nobody looked. ``vrf`` names the VRF that its sockets are
    bound to, None for sockets on no device; on a device that is enslaved to the
    VRF at least as many ports are free.
    """

    protocol: str
    operation: str
    local_address: str
    remote_address: str | None
    remote_port: int | None
    eligible_ports: int
    held_ports: int
    doubtful_ports: int
    free_ports: int
    free_ports_max: int
    occupancy_ratio: float
    occupancy_ratio_max: float
    exhausted: bool
    states: dict[str, int]
    owners: tuple[Owner, ...] = ()
    vrf: str | None = None


class Headroom(Answer, frozen=True, kw_only=True):
    """How many more connections fit, the tightest key first."""

    keys: tuple[Key, ...]
    keys_total: int
    keys_omitted: int


class RangeUse(msgspec.Struct, frozen=True):
    """The ephemeral range, both ends included, and what is reserved inside it."""

    first: int
    last: int
    ports: int
    reserved_ports: int
    eligible_ports: int


class TcpSummary(msgspec.Struct, frozen=True):
    """The TCP line of ``ss -s``."""

    total: int
    established: int
    closed: int
    orphaned: int
    time_wait: int


class TransportCount(msgspec.Struct, frozen=True):
    """One row of the transport table of ``ss -s``."""

    total: int
    ipv4: int
    ipv6: int


class Transports(msgspec.Struct, frozen=True):
    """The transport table of ``ss -s``."""

    raw: TransportCount
    udp: TransportCount
    tcp: TransportCount
    inet: TransportCount
    frag: TransportCount


class Summary(msgspec.Struct, frozen=True):
    """
    Sessions in numbers, as ``ss -s`` has them, and by state.

    ``bound_local_ports`` counts distinct local ports in use, TCP and UDP
    together. ``states`` and ``udp_states`` count sockets.
    ``system_wide`` names the fields that count the whole system and not this
    namespace.
    """

    sockets_total: int
    bound_local_ports: int | None
    tcp: TcpSummary
    transports: Transports
    states: dict[str, int]
    udp_states: dict[str, int]
    system_wide: tuple[str, ...]


class Drift(msgspec.Struct, frozen=True):
    """
    A setting whose current value is not what the next boot gives.

    ``persisted`` is what it gives, the kernel's default where ``file`` and
    ``line`` are null because no line decides. Both values are text as it would
    be typed, a range ``first-last``.
    """

    name: str
    current: str
    persisted: str
    file: str | None
    line: int | None


class BootConflict(msgspec.Struct, frozen=True):
    """
    A setting to which the boot programs of this system would give different values.

    ``values`` has one a program: ``systemd``, ``procps`` or ``tuned``; null where
    it depends on the machine.
    """

    name: str
    values: dict[str, str | None]


CRITICAL, WARNING, INFO = "critical", "warning", "info"
SEVERITIES = (CRITICAL, WARNING, INFO)
"""Of findings, the gravest first."""


class Finding(msgspec.Struct, frozen=True):
    """
    A rule that fired: severity, evidence, remedy.

    ``severity`` is ``critical``, ``warning`` or ``info``; ``name`` is the rule.
    ``evidence`` is a sentence with what was seen, ``numbers`` the figures in it.
    ``remedy`` says what to do; ``command`` is the exact command, "" where
    there is none. ``page`` is the page of the documentation.
    """

    severity: str
    name: str
    evidence: str
    remedy: str
    numbers: dict[str, int | float | str] = {}
    command: str = ""
    page: str = ""
    owners: tuple[Owner, ...] = ()


class Findings(Answer, frozen=True, kw_only=True):
    """
    What is wrong or will be, the gravest first.

    ``checked`` names the rules that could look; ``unchecked`` those that could
    not, because something they need could not be read: the gaps say what.
    """

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    unchecked: tuple[str, ...] = ()


class Status(Answer, frozen=True, kw_only=True):
    """
    One screen: the range, the tightest destinations, sessions by state.

    ``trials`` are those of the whole system, in whatever namespace, and
    ``broken_off`` changes that a crash left; none in an answer from a saved Snapshot.
    """

    range: RangeUse | None
    tightest: tuple[Key, ...]
    keys_total: int
    sessions: Summary | None
    drift: tuple[Drift, ...] = ()
    findings: tuple[Finding, ...] = ()
    boot_conflicts: tuple[BootConflict, ...] = ()
    trials: tuple[PendingTrial, ...] = ()
    broken_off: tuple[BrokenOff, ...] = ()


class Session(msgspec.Struct, frozen=True):
    """One socket; null where it has no remote, no owner, or nobody looked."""

    protocol: str
    state: str
    local_address: str
    local_port: int
    remote_address: str | None
    remote_port: int | None
    recv_queue_bytes: int
    send_queue_bytes: int
    uid: int | None
    inode: int | None
    owners: tuple[Owner, ...] = ()


class Sessions(Answer, frozen=True, kw_only=True):
    """The sockets that match a filter, and the summary where it was asked for."""

    sessions: tuple[Session, ...]
    sessions_total: int
    summary: Summary | None = None


class FileLine(msgspec.Struct, frozen=True):
    """A place in a file."""

    file: str
    line: int


class SettingState(msgspec.Struct, frozen=True):
    """
    One setting: its value now, the kernel's default, its reach and meaning.

    A range is ``{first, last}``, a set of ports its canonical text, all else
    a number; null where this kernel does not have it or the default depends
    on the machine. ``persisted`` is what the next boot gives, null with a null
    ``persisted_at`` where no line decides: then the kernel's default holds, and
    ``drift`` compares with that. ``drift`` is null where one of both values is
    not known. ``scope`` is ``namespace`` or ``system``; ``key`` is the sysctl;
    ``candidates`` are all lines that name it.
    """

    name: str
    current: int | str | RangeEnds | None
    default: int | str | RangeEnds | None
    persisted: int | str | RangeEnds | None
    persisted_at: FileLine | None
    drift: bool | None
    unit: str
    scope: str
    meaning: str
    does_not: str = ""
    key: str = ""
    candidates: tuple[BootCandidate, ...] = ()


class SettingsAnswer(Answer, frozen=True, kw_only=True):
    """The settings that matter for local ports."""

    settings: tuple[SettingState, ...]
