"""Where an answer comes from: the kernel, in one namespace, or a saved Snapshot."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from portroom.errors import InvalidRequestError
from portroom.kernel.netns_names import NetnsRef
from portroom.kernel.snapshot import Wanted, take
from portroom.model.facts.snapshot import Features, Gap, NetnsId, Snapshot

if TYPE_CHECKING:
    from portroom.model.facts.boot import BootFacts
    from portroom.model.facts.scene import NamespaceRange

Result = TypeVar("Result")


class System(msgspec.Struct):
    """
    What belongs to the whole system, read once however many namespaces are asked.

    ``boot`` is what decides at its next boot, and ``namespaces`` are the ranges of
    all its namespaces: None until somebody asks. ``unranged`` is why some of these
    are not among them.
    """

    boot: BootFacts | Gap | None = None
    namespaces: tuple[NamespaceRange, ...] | Gap | None = None
    unranged: tuple[Gap, ...] = ()

    def ranges(self) -> tuple[NamespaceRange, ...] | Gap:
        """Return the range of every namespace that may be entered."""
        if self.namespaces is None:
            from portroom.kernel.elsewhere import read_ranges
            from portroom.kernel.namespaces import survey

            found, gap = read_ranges(survey())
            self.namespaces = found or gap or ()
            self.unranged = (gap,) if found and gap else ()
        return self.namespaces


class Live(msgspec.Struct, frozen=True):
    """
    The kernel, in the caller's network namespace or in another one.

    ``unseen`` is what was not seen while looking for all namespaces; the first
    of them has it. ``system`` is shared by all namespaces of one question.
    ``features`` is what the kernel is known to be able to do, for who reads again and
    again: then it is not asked each time.
    """

    netns: NetnsRef | None = None
    unseen: tuple[Gap, ...] = ()
    system: System = msgspec.field(default_factory=System)
    features: Features | None = None

    @property
    def known(self) -> NetnsId | None:
        """Return what the namespace is known as, None for the caller's own."""
        return self.netns.id if self.netns else None

    def take(self, wanted: Wanted) -> Snapshot:
        """
        Read what is wanted in the namespace of the calling thread, see ``run``.

        Raises:
            PortroomError: The settings cannot be read, so nothing can be said.
        """
        if self.features is not None:
            wanted = msgspec.structs.replace(wanted, features=self.features)
        known = self.system.boot
        if not wanted.boot or known is None:
            read = take(wanted, self.known)
        else:
            read = take(msgspec.structs.replace(wanted, boot=False), self.known)
            read = msgspec.structs.replace(read, boot=known)
        if wanted.boot:
            self.system.boot = read.boot
        return read

    def run(self, job: Callable[[], Result]) -> Result:
        """
        Return what *job* returns inside the namespace.

        Raises:
            InvalidRequestError: The namespace is gone.
            NotPermittedError: Entering it is not allowed.
        """
        if self.netns is None:
            return job()
        from portroom.kernel.namespaces import inside

        return inside(self.netns, job)


class Saved(msgspec.Struct, frozen=True):
    """A Snapshot that was saved before; it answers the same, byte for byte."""

    snapshot: Snapshot


Source = Live | Saved


def open_sources(
    netns: str | None = None, all_netns: bool = False, snapshot: str | None = None
) -> tuple[Source, ...]:
    """
    Return where to answer from: one source, or one a namespace.

    Args:
        netns: NAME, PID or PATH of a network namespace.
        all_netns: Whether every network namespace is wanted.
        snapshot: Path of a saved Snapshot.

    Raises:
        InvalidRequestError: These do not go together, or there is no such
            namespace.
        KernelDataError: The file is no whole Snapshot.
    """
    if sum((netns is not None, all_netns, snapshot is not None)) > 1:
        raise InvalidRequestError(
            "--netns, --all-netns and --snapshot exclude each other.", "Give one of them."
        )
    if snapshot is not None:
        from portroom.kernel.saved_file import read_snapshot

        return (Saved(read_snapshot(snapshot)),)
    if netns is None and not all_netns:
        return (Live(),)
    from portroom.kernel import namespaces

    if all_netns:
        survey = namespaces.survey()
        if not survey.namespaces:
            # Without procfs there is not even the own one: reading says so.
            return (Live(),)
        first, *others = survey.namespaces
        system = System()
        rest = (Live(one, system=system) for one in others)
        return (Live(first, survey.gaps, system), *rest)
    return (Live(namespaces.find(netns or "")),)
