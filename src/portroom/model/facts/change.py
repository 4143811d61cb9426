"""The ChangePlan: what would be written, why it may not be, and how to undo it.

Rules of this file:

- a step is one write, of a setting or of a file, and carries what was there
  before: its inverse is the same step with both exchanged;
- the values of settings in steps are canonical kernel text, ``"15000 64001"``;
- a reason is a sentence for a person and a code for a program.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from portroom.model.facts.answers import Answer, RangeEnds
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.sockets import Owner

# How grave a reason is.
REFUSAL, WARNING, NOTE = "refusal", "warning", "note"

# What lifts a refusal.
RESERVE, FORCE = "--reserve", "--force"

# Where a change is to hold.
LIVE, PERSIST, PERSIST_ONLY = "live", "persist", "persist_only"


class Request(msgspec.Struct, frozen=True):
    """
    What somebody asked for: the words, as typed, and the options.

    ``where`` is LIVE, PERSIST or PERSIST_ONLY; ``trial_s`` is the length of a
    trial in seconds, 0 for none.
    """

    words: tuple[str, ...]
    where: str = LIVE
    reserve: bool = False
    force: bool = False
    trial_s: int = 0


class SettingStep(msgspec.Struct, frozen=True, tag="setting", tag_field="kind"):
    """One sysctl of one namespace, from one canonical text to another."""

    netns: NetnsId
    key: str
    before: str
    after: str


class FileContent(msgspec.Struct, frozen=True):
    """All bytes of a file, base64 in JSON, and its permission bits."""

    content: bytes
    mode: int = 0o644


class FileStep(msgspec.Struct, frozen=True, tag="file", tag_field="kind"):
    """
    One file of portroom's own; None where there is none before, or after.

    ``makes_folder`` says that the folder it lies in was missing before.
    """

    path: str
    before: FileContent | None
    after: FileContent | None
    makes_folder: bool = False


Step = SettingStep | FileStep


def inverse(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """
    Return the steps that take others back, the last one first.

    >>> here = NetnsId("host", 1, 1, "host")
    >>> (back,) = inverse((SettingStep(here, "net.ipv4.tcp_tw_reuse", "2", "1"),))
    >>> back.before, back.after
    ('1', '2')
    """
    return tuple(
        msgspec.structs.replace(step, before=step.after, after=step.before)
        for step in reversed(steps)
    )


def setting_steps(steps: Iterable[Step]) -> tuple[SettingStep, ...]:
    """Return the steps that the kernel holds, in their order."""
    return tuple(step for step in steps if isinstance(step, SettingStep))


def file_steps(steps: Iterable[Step]) -> tuple[FileStep, ...]:
    """Return the steps that a disk holds, in their order."""
    return tuple(step for step in steps if isinstance(step, FileStep))


class SettingChange(msgspec.Struct, frozen=True):
    """A setting, by name and sysctl, and its typed value before and after."""

    name: str
    key: str
    before: int | str | RangeEnds
    after: int | str | RangeEnds


class Capacity(msgspec.Struct, frozen=True):
    """Eligible ports before and after: how many connections fit to one destination."""

    eligible_ports_before: int
    eligible_ports_after: int


class KeyChange(msgspec.Struct, frozen=True):
    """How many ports are surely free for one tight key, before and after."""

    protocol: str
    local_address: str
    remote_address: str | None
    remote_port: int | None
    free_ports_before: int
    free_ports_after: int


class Collision(msgspec.Struct, frozen=True):
    """
    Ports that the new range takes in and that something else counts on.

    ``kind`` is ``published``, ``vxlan``, ``listener``, ``bound``, ``udp``,
    ``service``, ``nodeport`` or ``udp_client``. ``first`` and ``last`` are both
    included; ``label`` says what it is, hostile text. ``severity`` is REFUSAL or
    WARNING, and NOTE where the change itself reserves the port.
    """

    kind: str
    severity: str
    protocol: str
    first: int
    last: int
    label: str
    owners: tuple[Owner, ...] = ()


class HeldPort(msgspec.Struct, frozen=True):
    """A port to be reserved that outgoing connections hold now: how many, and whose."""

    protocol: str
    port: int
    sockets: int
    owners: tuple[Owner, ...] = ()


class Reason(msgspec.Struct, frozen=True):
    """
    Why a change is refused, or what to know before it.

    ``code`` is a word for programs. ``lifted_by`` has the options that lift a
    refusal, empty where none does; ``remedy`` is what to do, "" for nothing.
    """

    severity: str
    code: str
    sentence: str
    remedy: str = ""
    lifted_by: tuple[str, ...] = ()


class Limit(msgspec.Struct, frozen=True):
    """
    A limit that bites once there are more ports: how much of it is in use.

    ``name`` is ``open_files``, ``nf_conntrack_max``, ``tcp_max_tw_buckets``,
    ``tcp_mem`` or ``filter``; ``used`` and ``limit`` count in ``unit``, null
    where they are not known. ``room`` is how many more connections it admits,
    null where it is not that kind of limit.
    """

    name: str
    unit: str
    used: int | None
    limit: int | None
    room: int | None
    sentence: str


class Persistence(msgspec.Struct, frozen=True):
    """
    How a change holds at the next boot: in which file, applied by which program.

    ``program`` is null where none is known to boot this host; ``others`` are
    sentences about programs that would leave another value. ``values`` has the
    canonical text that the next boot then gives, by sysctl.
    """

    path: str
    program: str | None
    others: tuple[str, ...] = ()
    values: dict[str, str] = {}


class ChangePlan(Answer, frozen=True, kw_only=True):
    """
    What would be written in one namespace, in the order of writing.

    ``boot_id`` is that of the system it was made on. ``reserved_proposal`` is
    the list of reserved ports that keeps collisions out of the range, merged
    with what others reserved, "" where nothing needs to be. ``suggestion`` is
    a range that does the same without the flaw a warning names, null for none.
    ``durable`` are lines that keep a setting of a container or pod.
    """

    boot_id: str
    request: Request
    changes: tuple[SettingChange, ...]
    steps: tuple[Step, ...]
    capacity: Capacity | None = None
    tightest: tuple[KeyChange, ...] = ()
    collisions: tuple[Collision, ...] = ()
    reserved_proposal: str = ""
    suggestion: RangeEnds | None = None
    held_now: tuple[HeldPort, ...] = ()
    reasons: tuple[Reason, ...] = ()
    limits: tuple[Limit, ...] = ()
    persistence: Persistence | None = None
    durable: tuple[str, ...] = ()

    @property
    def refusals(self) -> tuple[Reason, ...]:
        """Return the reasons that refuse the plan and that no given option lifts."""
        return tuple(one for one in self.reasons if one.severity == REFUSAL)
