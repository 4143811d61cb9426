"""Plans, entries and journals made by hand, as the rendering tests need them."""

import datetime

from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.change import (
    FORCE,
    NOTE,
    PERSIST,
    REFUSAL,
    RESERVE,
    WARNING,
    Capacity,
    ChangePlan,
    Collision,
    FileContent,
    FileStep,
    HeldPort,
    KeyChange,
    Limit,
    Persistence,
    Reason,
    Request,
    SettingChange,
    SettingStep,
)
from portroom.model.facts.journal import (
    DONE,
    SET,
    UNDO,
    Changed,
    Entry,
    Journal,
    Trial,
    Who,
)
from portroom.model.facts.trial import PendingTrial
from tests.unit.render.examples import AT, HOST, owner

RANGE_KEY = "net.ipv4.ip_local_port_range"
RESERVED_KEY = "net.ipv4.ip_local_reserved_ports"
FILE = "/etc/sysctl.d/99-zz-portroom.conf"
CONTENT = b"# portroom: set range=15000-64001\nnet.ipv4.ip_local_port_range = 15000 64001\n"

WIDER = SettingChange("range", RANGE_KEY, RangeEnds(32768, 60999), RangeEnds(15000, 64001))
RESERVED = SettingChange("reserved", RESERVED_KEY, "", "15672,30000-32767")
REUSE = SettingChange("tcp_tw_reuse", "net.ipv4.tcp_tw_reuse", 2, 1)

GAIN = Capacity(28_232, 49_002)

KEYS = (
    KeyChange("tcp", "10.0.0.1", "10.0.0.9", 443, 42, 20_812),
    KeyChange("tcp", "2001:db8::1", "2001:db8:12:34::1234", 8443, 0, 20_770),
    KeyChange("udp", "0.0.0.0", None, None, 28_220, 48_990),
)

RABBIT = owner("beam.smp", 1, 431, "rabbitmq-server.service")

LISTENER = Collision("listener", REFUSAL, "tcp", 15672, 15672, "0.0.0.0:15672", (RABBIT,))
NODE_PORTS = Collision("nodeport", WARNING, "tcp/udp", 30000, 32767, "kube-proxy runs here")

REFUSED = Reason(
    REFUSAL,
    "listeners_inside",
    "Ports of listeners that the kernel could then choose: tcp 15672 (beam.smp, pid 431).",
    "Add --reserve to reserve them in the same change.",
    (RESERVE, FORCE),
)
TOO_FEW = Reason(
    REFUSAL,
    "few_ports",
    "Only 12 ports would be left to choose from, of 28,232 now; fewer than 1,024 are most "
    "often a slip.",
    "",
    (FORCE,),
)
WARNED = Reason(
    WARNING,
    "node_ports_inside",
    "NodePorts that the kernel could then choose: tcp/udp 30000-32767 (kube-proxy runs here).",
    "Add --reserve to reserve them in the same change.",
)
PARITY = Reason(
    WARNING,
    "same_parity",
    "15000 and 64000 are both even: the search for a port leaves one end out.",
)
LOST = Reason(
    NOTE, "lost_at_boot", "The value lasts until the next boot.", "Add --persist to keep it."
)

NEXT_LIMIT = Limit(
    "open_files",
    "file",
    8_012,
    65_536,
    57_524,
    "nginx (pid 4312) has 8,012 of 65,536 files open: 57,524 more connections.",
)

KEPT = Persistence(FILE, "systemd")
UNAPPLIED = Persistence(FILE, None)


def steps(changes, where=HOST):
    """Return the steps of some changes."""
    return tuple(
        SettingStep(where, one.key, _kernel_text(one.before), _kernel_text(one.after))
        for one in changes
    )


def _kernel_text(value):
    """Return a typed value as the kernel takes it."""
    return f"{value.first} {value.last}" if isinstance(value, RangeEnds) else str(value)


def file_step(before=None, after=CONTENT):
    """Return the step that writes the file for the next boot."""
    old = None if before is None else FileContent(before)
    new = None if after is None else FileContent(after)
    return FileStep(FILE, old, new)


def plan(words=("range=15000-64001",), changes=(WIDER,), *, where=HOST, **fields):
    """Return a plan of some changes; a field that is given takes the place of its own."""
    own = {"steps": steps(changes, where), "request": Request(tuple(words))}
    return ChangePlan(
        host="web1", taken_at=AT, netns=where, boot_id="b", changes=tuple(changes), **own | fields
    )


REFUSED_PLAN = plan(
    capacity=GAIN,
    tightest=KEYS,
    collisions=(LISTENER, NODE_PORTS),
    reserved_proposal="15672,30000-32767",
    held_now=(HeldPort("tcp", 15673, 2, (owner("curl", 2, 77, None),)),),
    reasons=(REFUSED, WARNED, LOST),
    limits=(NEXT_LIMIT,),
)

KEPT_PLAN = plan(
    ("range=15000-64001",),
    (RESERVED, WIDER),
    request=Request(("range=15000-64001",), PERSIST, reserve=True),
    steps=(*steps((RESERVED, WIDER)), file_step()),
    capacity=Capacity(28_232, 46_233),
    persistence=KEPT,
)

NOTHING = plan(
    changes=(), reasons=(Reason(NOTE, "nothing_to_do", "range is 15000-64001 already."),)
)

ALICE = Who(0, "root", 1000, "alice", "pts/1", 4242, ("portroom", "set", "range=15000-64001"))

LATER = AT + datetime.timedelta(seconds=120)


def entry(number=12, changes=(WIDER,), *, where=HOST, **fields):
    """Return an entry of the journal; a field that is given takes the place of its own."""
    own = {
        "action": SET,
        "request": Request(("range=15000-64001",)),
        "steps": steps(changes, where),
        "phase": DONE,
        "outcome": "written and read back.",
        "ended_at": AT,
        "who": ALICE,
    }
    return Entry(number=number, started_at=AT, boot_id="b", changes=tuple(changes), **own | fields)


def trial_entry(*, persist=False):
    """Return an entry that is on trial."""
    return entry(
        phase="trial",
        outcome="",
        ended_at=None,
        request=Request(("range=15000-64001",), PERSIST if persist else "live", trial_s=120),
        trial=Trial(1000.0, LATER, persist),
    )


UNDONE = entry(13, action=UNDO, undoes=12, request=Request(()), outcome="taken back.")


def pending(left_s=80.7, *, guarded=True, number=12, uid=0):
    """Return a trial that waits."""
    return PendingTrial(number, ("range=15000-64001",), "host", left_s, guarded, uid=uid)


def journal(*entries, trials=()):
    """Return a journal with these entries."""
    return Journal(
        host="web1", taken_at=AT, netns=HOST, entries=tuple(entries), pending=tuple(trials)
    )


def changed(*plans, done=None):
    """Return what became of some plans."""
    return Changed(host="web1", taken_at=AT, netns=HOST, plans=tuple(plans), entry=done)
