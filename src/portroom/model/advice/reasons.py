"""Why a change is refused, and what to know before it: every code, in one table.

Rules of this file: a reason is made by ``reason`` alone, so that its severity
and what lifts it stand here and nowhere else. ``meaning`` is what the
documentation says of the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from portroom.model.facts.change import FORCE, NOTE, REFUSAL, RESERVE, WARNING, Reason, Request


class Code(NamedTuple):
    """
    One kind of reason.

    Args:
        severity: How grave it is: REFUSAL, WARNING or NOTE.
        meaning: When it is told, and why it matters.
        lifted_by: The options that lift a refusal.
    """

    severity: str
    meaning: str
    lifted_by: tuple[str, ...] = ()


EITHER = (RESERVE, FORCE)

CODES: Mapping[str, Code] = {
    # Refusals.
    "not_supported": Code(REFUSAL, "This kernel does not have the setting."),
    "blocked": Code(
        REFUSAL, "The kernel would refuse the value because of another setting, which is named."
    ),
    "files_do_not_reach": Code(
        REFUSAL,
        "A file was to be written for a namespace that the files of this host do not reach.",
    ),
    "not_held_at_boot": Code(
        REFUSAL,
        "A value was to be kept in a file, and at the next boot something else would decide, "
        "whatever that file is called; the line that decides is named.",
    ),
    "refused_at_boot": Code(
        REFUSAL,
        "The kernel would refuse the line of the file at the next boot, because of what it "
        "holds by then.",
    ),
    "cut_at_boot": Code(
        REFUSAL,
        "The program that applies the files would set a part of the value only: `sysctl` of "
        "procps takes 4 KiB of a list.",
    ),
    "changes_others_at_boot": Code(
        REFUSAL, "The file would also change what another setting is after the next boot."
    ),
    "own_name_taken": Code(
        REFUSAL,
        "Under a name of portroom's file lies something else, as a link to /dev/null by which "
        "somebody switched it off.",
    ),
    "set_later": Code(
        REFUSAL,
        "A line that runs after the sysctl files sets another value; that it really runs is "
        "not known.",
        (FORCE,),
    ),
    "no_ports": Code(
        REFUSAL, "The kernel would have no port left to choose: no connect() would work.", (FORCE,)
    ),
    "few_ports": Code(
        REFUSAL, "The kernel would choose from fewer than 1,024 ports; most often a slip.", (FORCE,)
    ),
    "listeners_inside": Code(
        REFUSAL,
        "Programs listen on ports that the kernel could then choose: while such a program "
        "restarts, an outgoing connection may take its port.",
        EITHER,
    ),
    "bound_ports_inside": Code(
        REFUSAL,
        "Programs hold ports by bind() alone that the kernel could then choose; proxies of "
        "container runtimes keep published ports so.",
        EITHER,
    ),
    "udp_sockets_inside": Code(
        REFUSAL, "UDP sockets serve ports that the kernel could then choose.", EITHER
    ),
    "published_ports_inside": Code(
        REFUSAL,
        "A container runtime publishes ports that the kernel could then choose: once the "
        "container stops, an outgoing connection may take the port, and it cannot start again.",
        EITHER,
    ),
    "vxlan_inside": Code(
        REFUSAL, "A VXLAN device uses a UDP port that the kernel could then choose.", EITHER
    ),
    # Warnings.
    "node_ports_inside": Code(
        WARNING, "The kernel could then choose ports of Kubernetes services (NodePort)."
    ),
    "service_ports_inside": Code(
        WARNING,
        "Installed units use ports that the kernel could then choose; they do not listen now.",
    ),
    "udp_clients_inside": Code(
        WARNING,
        "Connected UDP sockets are on ports that the kernel could then choose. They are not "
        "proposed to be reserved: most are clients, and their ports were chosen by the kernel.",
    ),
    "sockets_unseen": Code(
        WARNING, "The sockets could not be read, so it is not known what the range takes in."
    ),
    "held_now": Code(
        WARNING,
        "Outgoing connections hold ports that are to be reserved. A service cannot start there "
        "until they end: reserving stops new ones only.",
    ),
    "reservations_dropped": Code(
        WARNING, "`reserved=` replaces the list, and ports that were reserved no longer are."
    ),
    "may_be_set_later": Code(
        WARNING, "Something that runs at any time, or on some hosts, may set another value."
    ),
    "boot_not_sure": Code(
        WARNING, "A part of what decides at the next boot could not be read or judged."
    ),
    "no_boot_program": Code(
        WARNING,
        "Nothing is known to apply sysctl files when this host boots: the file is written as "
        "the likeliest program would read it.",
    ),
    "same_parity": Code(
        WARNING,
        "Both ends of the range are even or both odd: the search leaves one end out, and the "
        "kernel logs a complaint once.",
    ),
    "selinux": Code(
        WARNING,
        "SELinux checks which program may bind a port only outside the range, so that a change "
        "of the range moves that protection.",
    ),
    "source_ports_outside_default": Code(
        WARNING,
        "The range gets source ports outside of 32768-60999, which a firewall on the path may "
        "not let through.",
    ),
    "filter_names_default_range": Code(
        WARNING, "A firewall's file on this host names 32768-60999, and the range goes beyond."
    ),
    "range_below_1024": Code(
        WARNING,
        "The range begins below 1024. Outgoing connections may then come from ports that others "
        "take for a service, or trust.",
    ),
    "unprivileged_ports": Code(
        WARNING, "Ports become free to be bound by every program, without a right."
    ),
    "privileged_listeners": Code(
        WARNING,
        "Programs listen on ports that need CAP_NET_BIND_SERVICE after the change; they may not "
        "start again.",
    ),
    "no_timestamps": Code(
        WARNING, "TIME_WAIT is reused only with TCP timestamps, and these are switched off."
    ),
    "no_reuse": Code(WARNING, "The delay has no effect while tcp_tw_reuse is 0."),
    "autobind_reuse": Code(WARNING, "Programs that bind() to port 0 may be given a shared port."),
    # Notes.
    "persisted_already": Code(NOTE, "The next boot gives the value already; no file is written."),
    "nothing_to_do": Code(NOTE, "A setting has the wanted value already."),
    "reserved_too": Code(NOTE, "--reserve reserves ports that something counts on."),
    "reserved_outside": Code(
        NOTE, "A reserved port outside the range changes nothing, until the range covers it."
    ),
    "not_reserved": Code(NOTE, "`reserved-=` names ports that were not reserved."),
    "time_wait_now": Code(NOTE, "How many connections are in TIME_WAIT, to which this applies."),
    "does_not": Code(NOTE, "What a setting is often believed to do and does not."),
    "lost_at_boot": Code(
        NOTE,
        "The value lasts until the next boot, since no file is written; a line that then gives "
        "another one is named.",
    ),
    "ends_with_trial": Code(
        NOTE, "The value is on trial, and is put back at its end unless it is confirmed."
    ),
    "ends_with_namespace": Code(
        NOTE, "The value ends with the namespace; a container or pod starts with the default."
    ),
}
"""Every code of a reason of this room; the documentation has a section for each."""


def reason(code: str, sentence: str, remedy: str = "", request: Request | None = None) -> Reason:
    """
    Return a reason; ``--force`` of a request turns what it lifts into a warning.

    >>> reason("few_ports", "3 ports.", request=Request((), force=True)).severity
    'warning'
    """
    row = CODES[code]
    forced = request is not None and request.force and FORCE in row.lifted_by
    return Reason(WARNING if forced else row.severity, code, sentence, remedy, row.lifted_by)
