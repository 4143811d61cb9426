"""
What a failed call was about: put together from what came before and what is left.

Rules of this file:

- what the kernel told before the call is sure; what is read after it counts only
  if the thread is not known to have used the same memory, or the same descriptor,
  for something else by then;
- where two sources tell different families, the sure one holds; without a sure
  one, neither does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from portroom.trace.events import CallEnter, CallExit, StateChange
from portroom.trace.memory import (
    UNTOLD,
    Told,
    parse_socket_arguments,
    read_memory,
    read_socket,
)
from portroom.trace.recorder import Recorder


class About(NamedTuple):
    """
    How a call began, what it was about, and the change of state with its local port.

    None is what nothing told.
    """

    begin: CallEnter | None = None
    told: Told = UNTOLD
    clash: StateChange | None = None


class _Left(NamedTuple):
    """What was left of a call when it was looked for."""

    call: CallExit
    begin: CallEnter
    memory: Told
    socket: Told


def find_about(calls: Sequence[tuple[CallExit, int | None]], recorder: Recorder) -> list[About]:
    """
    Return what some calls were about.

    Args:
        calls: All that ended since the last ones that were asked about, each with a
            descriptor of ``/proc/TID`` of its thread, None if that is gone.
        recorder: Knows what came before.
    """
    recorder.look()
    left = [_read_left(call, process, recorder) for call, process in calls]
    # Whoever read memory has to know what was done with it until then.
    recorder.look()
    about = [_judge(one, recorder) for one in left]
    recorder.forget(max((call.at_ns for call, _ in calls), default=0))
    return about


def _read_left(call: CallExit, process: int | None, recorder: Recorder) -> _Left | CallExit:
    """Return what is left of a call; the call itself where its begin is not known."""
    begin = recorder.begin_of(call)
    if begin is None:
        return call
    if process is None:
        return _Left(call, begin, UNTOLD, UNTOLD)
    return _Left(call, begin, read_memory(process, begin), read_socket(process, begin.descriptor))


def _judge(left: _Left | CallExit, recorder: Recorder) -> About:
    """Return what a call was about, by what its thread is known to have done."""
    if isinstance(left, CallExit):
        return About(clash=recorder.clash_of(left))
    begin = left.begin
    made = recorder.socket_of(begin)
    memory = UNTOLD if recorder.has_reused_memory(begin) else left.memory
    if made is not None:
        sure = parse_socket_arguments(made.family, made.kind, made.protocol)
        told = complete(sure, memory)
    else:
        is_other = recorder.has_reused_descriptor(begin)
        told = agree(UNTOLD if is_other else left.socket, memory)
    return About(begin, told, recorder.clash_of(left.call))


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
