"""All that a kernel can tell, asked for who wants to know: more than answers need.

Rules of this file:

- each is asked of the kernel, never inferred from another, nor from a version;
- what takes a port is asked in a private namespace; what the caller's namespace has
  switched off is asked there, and takes nothing;
- nothing is changed but that the kernel may load a module that answers, as for `ss`;
- where a right is missing the answer is unknown, and names the right.

Source: kernels-older.md 2 and 4, tried on sixteen kernels.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack, closing

from portroom.errors import KernelDataError
from portroom.kernel import nfnetlink, sock_diag
from portroom.kernel.conntrack import CT_GET_STATS_CPU
from portroom.kernel.counters import read_counters
from portroom.kernel.features import TRIAL_PORT, bound_rows_question, bucket_forgets
from portroom.kernel.files import PROC, read_text
from portroom.kernel.limits import read_tracked
from portroom.kernel.namespaces import SO_NETNS_COOKIE
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.kernel.netstat import read_net_counts
from portroom.kernel.probe import IP_BIND_ADDRESS_NO_PORT, deferred, has_range_option, unsent
from portroom.kernel.process_seen import copies_descriptors
from portroom.kernel.throwaway import Answers, Throwaway
from portroom.kernel.unix_sockets import REQUEST as UNIX_REQUEST
from portroom.model.facts.features import Asked
from portroom.model.facts.sockets import TcpState

WINDOW_PORTS = 3
"""An odd number: of these, a search that takes every other port leaves one out."""

NO_ANSWER = "the trial gave no answer"
NO_NAMESPACE = "no network namespace can be made to try it in"


def read_abilities(proc: str = PROC) -> dict[str, Asked]:
    """
    Return what this kernel answers, by the names of ``model.laws.feature_table``.

    Those of tracing are not among them.

    Args:
        proc: Where the proc file system is mounted.
    """
    trial = Throwaway(
        (
            bucket_forgets,
            _connects_unsent,
            _gives_whole_window,
            _tells_no_port,
            bound_rows_question(_system_sockets(proc)),
        )
    )
    try:
        found = _seen_here(proc)
    finally:
        answers = trial.answers(5)
    return found | _tried(answers, found)


def _system_sockets(proc: str) -> int:
    """Return about how many TCP sockets the whole system has, 0 where it does not tell."""
    try:
        return read_counters(proc).tcp_alloc
    except (OSError, KernelDataError):
        return 0


def _seen_here(proc: str) -> dict[str, Asked]:
    """Return what is asked in the namespace of the calling thread, and takes nothing."""
    unix = UNIX_REQUEST.pack(socket.AF_UNIX, 0, 0, 0, 0, 0, 0, 0)
    return {
        "range_option": _range_option(),
        "zero_packet_probe": _fast_open_here(),
        "tw_reuse_by_age": _setting("tcp_tw_reuse_delay", proc),
        "vrf": _setting("tcp_l3mdev_accept", proc),
        "step_width": _setting("ip_local_port_step_width", proc),
        "tcp_rows": _lists(_inet_request(socket.IPPROTO_TCP), "tcp_diag, or not even inet_diag"),
        "udp_rows": _lists(_inet_request(socket.IPPROTO_UDP), "udp_diag, or not even inet_diag"),
        "unix_rows": _lists(unix, "unix_diag"),
        "conntrack_rows": _conntrack(proc),
        "counters": _counters(proc),
        "netns_cookie": _cookie(),
        "descriptor_copies": copies_descriptors(),
    }


def _inet_request(protocol: int) -> bytes:
    """Return a request for sockets in no state at all: only a handler answers it."""
    return sock_diag.request(socket.AF_INET, protocol, states=0)


def _tried(answers: Answers, found: dict[str, Asked]) -> dict[str, Asked]:
    """Return what the trial in a private namespace told."""
    forgets, unsent_, whole, no_port, bound = answers.told
    why = NO_NAMESPACE if answers.refusal else NO_ANSWER
    # Where a socket here may not even be prepared so, no trial elsewhere helps.
    probe = found["zero_packet_probe"]
    no_range = "" if found["range_option"].holds else "sockets have no window here"
    no_rows = "" if found["tcp_rows"].holds else "there are no rows to look at"
    return {
        "private_netns": _private(answers.refusal),
        "bucket_forgets": _or_why(forgets, why),
        "zero_packet_probe": _or_why(unsent_, why) if probe.holds else probe,
        "range_option_step": _or_why(whole, no_range or why),
        "no_port_rows": _or_why(no_port, no_rows or why),
        "bound_inactive_rows": _or_why(bound, no_rows or why),
    }


def _or_why(answer: bool | None, why: str) -> Asked:
    """Return an answer of the trial, or why there is none."""
    return Asked(answer, why if answer is None else "")


def _private(refusal: int | None) -> Asked:
    """Say whether a network namespace could be made; *refusal* is as of ``Answers``."""
    if not refusal:
        return Asked(True) if refusal == 0 else Asked(None, NO_ANSWER)
    return Asked(
        False,
        f"{_name(refusal)}: it needs CAP_SYS_ADMIN, or user namespaces for everybody "
        "(user.max_user_namespaces, and what AppArmor or a container adds)",
    )


def _name(number: int | None) -> str:
    """Return the name of an errno."""
    return errno.errorcode.get(number or 0, "error")


def _range_option() -> Asked:
    """Say whether a socket here can have a window of ports."""
    found = has_range_option()
    details = {True: "", False: "ENOPROTOOPT", None: "no socket could be asked"}
    return Asked(found, details[found])


def _cookie() -> Asked:
    """Say whether a network namespace has a number for ever."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as handle:
        try:
            handle.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8)
        except OSError as error:
            return Asked(False if error.errno == errno.ENOPROTOOPT else None, _name(error.errno))
    return Asked(True)


def _fast_open_here() -> Asked:
    """Say whether a socket here can be prepared to connect without a packet."""
    try:
        unsent(socket.AF_INET).close()
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return Asked(False, "bit 0 of net.ipv4.tcp_fastopen is off here (EOPNOTSUPP)")
        return Asked(False if error.errno == errno.ENOPROTOOPT else None, _name(error.errno))
    return Asked(True)


def _connects_unsent() -> bool:
    """Say whether a prepared socket connects at once, without an answer of anybody."""
    with unsent(socket.AF_INET) as handle:
        return handle.connect_ex(("127.0.0.1", 9)) == 0


def _gives_whole_window() -> bool | None:
    """Say whether every port of a window of three can be had; None where not even two can."""
    last = TRIAL_PORT + WINDOW_PORTS - 1
    with ExitStack() as held:
        sockets = [
            held.enter_context(deferred(socket.AF_INET, TRIAL_PORT, last))
            for _ in range(WINDOW_PORTS)
        ]
        missed = sum(one.connect_ex(("127.0.0.1", 9)) != 0 for one in sockets)
    return {0: True, 1: False}.get(missed)


def _tells_no_port() -> bool | None:
    """Say whether the row of a socket tells IP_BIND_ADDRESS_NO_PORT; None without its row."""
    with socket.socket() as listening, Netlink(NETLINK_SOCK_DIAG) as netlink:
        listening.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        listening.listen()
        request = sock_diag.legacy_request(1 << TcpState.LISTEN)
        for datagram in netlink.dump(sock_diag.TCPDIAG_GETSOCK, request):
            for message in sock_diag.messages(datagram):
                row = sock_diag.attributes(message, sock_diag.ATTRIBUTES)
                flags = row.get(sock_diag.SOCKOPT, b"")[1:2]
                return bool(int.from_bytes(flags, "little") & sock_diag.NO_PORT_BIT)
    return None


def _setting(name: str, proc: str) -> Asked:
    """Say whether a setting of IPv4 exists, and its value here."""
    try:
        value = read_text(f"{proc}/sys/net/ipv4/{name}").strip()
    except FileNotFoundError:
        if os.path.exists(f"{proc}/sys/net/ipv4"):
            return Asked(False)
        return Asked(None, f"{proc}/sys/net/ipv4 is not there")
    except OSError as error:
        return Asked(None, f"{name} could not be read ({_name(error.errno)})")
    return Asked(True, f"it is {value} here")


def _lists(request: bytes, module: str) -> Asked:
    """
    Say whether sock_diag has a handler for a request that no socket fits.

    A kernel without one says ENOENT: in an error where there is no module for the
    family, in the end of an empty dump where there is none for the protocol.
    """
    try:
        with Netlink(NETLINK_SOCK_DIAG) as netlink:
            for _ in netlink.dump(sock_diag.SOCK_DIAG_BY_FAMILY, request):
                pass
    except OSError as error:
        if error.errno == errno.ENOENT:
            return Asked(False, f"{_name(error.errno)}: this kernel has no {module}")
        return Asked(None, f"netlink is refused ({_name(error.errno)})")
    return Asked(True)


def _conntrack(proc: str) -> Asked:
    """Say whether tracked connections may be listed; nothing is asked where none is tracked."""
    try:
        tracked = read_tracked(proc)
        if tracked is None:
            return Asked(False, "nf_conntrack is not there")
        with closing(nfnetlink.dump(nfnetlink.CONNTRACK, CT_GET_STATS_CPU)) as messages:
            for _ in messages:
                break
    except PermissionError:
        return Asked(None, "needs CAP_NET_ADMIN")
    except (OSError, KernelDataError) as error:
        return Asked(None, str(error))
    return Asked(True, f"{tracked} tracked here")


def _counters(proc: str) -> Asked:
    """Say whether the counters of events are told."""
    try:
        read_net_counts(proc)
    except FileNotFoundError:
        return Asked(False, "there is no such file")
    except OSError as error:
        return Asked(None, f"they could not be read ({_name(error.errno)})")
    except KernelDataError as error:
        return Asked(False, error.message)
    return Asked(True)
