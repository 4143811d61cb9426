"""
What a failed call was about: put together from what came before and what is left.

Rules of this file:

- what the kernel told before the call, or copied when it failed, is sure; what is
  read after it counts only
  if the thread is not known to have used the same memory, or the same descriptor,
  for something else by then;
- where two sources tell different families, the sure one holds; without a sure
  one, neither does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from portroom.model.facts.failure import FROM_KERNEL, FROM_MEMORY
from portroom.trace.events import CallEnter, CallExit, StateChange
from portroom.trace.memory import (
    UNTOLD,
    Told,
    parse_memory,
    parse_socket_arguments,
    read_memory,
    read_socket,
)
from portroom.trace.recorder import Recorder


class About(NamedTuple):
    """
    How a call began, what it was about, and the change of state with its local port.

    None is what nothing told. *source* is whose word the address is.
    """

    begin: CallEnter | None = None
    told: Told = UNTOLD
    clash: StateChange | None = None
    source: str = FROM_MEMORY


class _Left(NamedTuple):
    """What was left of a call when it was looked for."""

    call: CallExit
    begin: CallEnter | None
    sure: Told = UNTOLD
    memory: Told = UNTOLD
    socket: Told = UNTOLD


def find_about(calls: Sequence[tuple[CallExit, int | None]], recorder: Recorder) -> list[About]:
    """
    Return what some calls were about.

    Args:
        calls: Each with a descriptor of ``/proc/TID`` of its thread, None if that is gone.
        recorder: Knows what came before.
    """
    recorder.look()
    sockets: dict[tuple[int, int], Told] = {}
    left = [_read_left(call, process, recorder, sockets) for call, process in calls]
    recorder.look_at_stacks()
    # Whoever read memory has to know what was done with it until then, and whoever
    # read stacks, which calls they may be of.
    recorder.look()
    return [_judge(one, recorder) for one in left]


def _read_left(
    call: CallExit,
    process: int | None,
    recorder: Recorder,
    sockets: dict[tuple[int, int], Told],
) -> _Left:
    """
    Return what is left of a call.

    Args:
        call: How it ended.
        process: Descriptor of ``/proc/TID`` of its thread, None if that is gone.
        recorder: Knows what came before.
        sockets: Those that were read already for these calls; this one is added.
    """
    begin = recorder.begin_of(call)
    if begin is None:
        return _Left(call, None)
    made = recorder.socket_of(begin)
    sure = parse_socket_arguments(made.family, made.kind, made.protocol) if made else UNTOLD
    if process is None:
        return _Left(call, begin, sure)
    key = begin.tid, begin.descriptor
    if key not in sockets:
        sockets[key] = read_socket(process, begin.descriptor)
    # A thread that fails again and again has one address left: that of its last call.
    is_gone = recorder.has_reused_memory(begin)
    memory = UNTOLD if is_gone else read_memory(process, begin)
    return _Left(call, begin, sure, memory, sockets[key])


def _judge(left: _Left, recorder: Recorder) -> About:
    """Return what a call was about, by what its thread is known to have done since."""
    call, begin, sure, memory, socket = left
    clash = recorder.clash_of(call)
    if begin is None:
        return About(clash=clash)
    if recorder.has_reused_descriptor(begin):
        socket = UNTOLD
    copied = parse_memory(recorder.address_of(call, begin))
    if copied is not None:
        return About(begin, put_together(sure, socket, copied), clash, FROM_KERNEL)
    if recorder.has_reused_memory(begin):
        memory = UNTOLD
    return About(begin, put_together(sure, socket, memory), clash)


def put_together(sure: Told, socket: Told, memory: Told) -> Told:
    """
    Return what three sources tell together.

    Another thread may have made the socket that has the descriptor now: what the
    thread itself made is sure only where the socket does not contradict it.
    """
    if sure.family is None:
        return agree(socket, memory)
    if socket.family not in (None, sure.family):
        return UNTOLD
    return complete(sure, memory)


def complete(sure: Told, memory: Told) -> Told:
    """
    Return what is sure, with the address of the memory if it is of that family.

    >>> complete(Told(2, "udp"), Told(2, None, ("127.0.0.1", 53)))
    Told(family=2, protocol='udp', address=('127.0.0.1', 53))
    >>> complete(Told(2, "udp"), Told(10, None, ("::1", 53)))
    Told(family=2, protocol='udp', address=None)
    """
    return sure._replace(address=memory.address if memory.family == sure.family else None)


def agree(socket: Told, memory: Told) -> Told:
    """
    Return what a socket and memory tell together, nothing where they contradict each other.

    >>> agree(Told(2, "tcp"), Told(2, None, ("127.0.0.1", 80)))
    Told(family=2, protocol='tcp', address=('127.0.0.1', 80))
    >>> agree(Told(10, "tcp"), Told(2, None, ("127.0.0.1", 80)))
    Told(family=None, protocol=None, address=None)
    """
    families = {told.family for told in (socket, memory)} - {None}
    if len(families) > 1:
        return UNTOLD
    return Told(next(iter(families), None), socket.protocol, memory.address)
