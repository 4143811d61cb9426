"""States worth a line in the log: told when they begin and when they end, never in between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from portroom.daemon.log import Log
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import BELOW_HALF
from portroom.model.facts.watched import FIRING, Known, Watched
from portroom.render.gaps import as_sentence, is_unseen
from portroom.render.trials import notices
from portroom.render.units import duration, percent, plural

MOST_STATES = 100
"""States of one kind that are told; a host may have thousands of namespaces with gaps."""

LEVEL_OF_SEVERITY = {"info": "info", "warning": "warning", "critical": "error"}

StateKey = tuple[str, ...]


class State(NamedTuple):
    """
    Something that lasts.

    Args:
        event: What the log calls it; its end is called ``…_over``.
        level: How bad it is.
        begins: The sentence that tells of its beginning.
        ends: The sentence that tells of its end.
    """

    event: str
    level: str
    begins: str
    ends: str


class States:
    """
    The states that hold.

    Args:
        log: What is told when one begins or ends.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._holding: dict[StateKey, State] = {}
        self._gaps: dict[str, dict[str, tuple[Gap, ...]]] = {}

    def note(self, watched: Watched) -> None:
        """Tell what began and what ended with the newest that is known."""
        self._remember(watched)
        holding = dict(_states(watched)) | self._gap_states(watched)
        for key, state in holding.items():
            if key not in self._holding:
                self._log.tell(state.level, state.event, state.begins)
        for key, state in self._holding.items():
            if key not in holding:
                self._log.tell("notice", f"{state.event}_over", state.ends)
        self._holding = holding

    def _remember(self, watched: Watched) -> None:
        """
        Note the gaps of the newest samples, by how deep these looked.

        What only a full sample looks at is not seen again because a quick one did
        not look.
        """
        before, self._gaps = self._gaps, {}
        for known in watched.namespaces:
            sample = known.sample
            one = f"{sample.netns.cookie or sample.netns.inode}"
            self._gaps[one] = before.get(one, {}) | {sample.depth: tuple(_gaps(known))}

    def _gap_states(self, watched: Watched) -> dict[StateKey, State]:
        """Return a state for each gap of any namespace, those alike in one."""
        found: dict[StateKey, Gap] = {}
        for depths in self._gaps.values():
            for gaps in depths.values():
                for gap in gaps:
                    found.setdefault(("gap", gap.source, _alike(gap.reason)), gap)
        if isinstance(watched.failures, Gap):
            gap = watched.failures
            found.setdefault(("gap", gap.source, _alike(gap.reason)), gap)
        told = list(found.items())[:MOST_STATES]
        return {key: _gap_state(gap) for key, gap in told}


def _gaps(known: Known) -> Iterator[Gap]:
    """Yield what could not be read in a namespace, without what nobody wanted to look at."""
    answers = (known.status, known.settings, known.findings)
    beside = [gap for answer in answers if answer for gap in answer.gaps]
    for gap in (*known.sample.gaps, *beside):
        is_choice = known.sample.depth == BELOW_HALF and gap.source == "keys"
        if not is_choice and not is_unseen(gap):
            yield gap


def _alike(reason: str) -> str:
    """
    Return a reason without its numbers, which may differ from sample to sample.

    >>> _alike("12 of 300 processes are hidden")
    '# of # processes are hidden'
    """
    return re.sub(r"\d+", "#", reason)


def _gap_state(gap: Gap) -> State:
    """Return a gap as a state."""
    return State("gap", "notice", as_sentence(gap), f"Seen again: {gap.source}.")


def _states(watched: Watched) -> Iterator[tuple[StateKey, State]]:
    """Yield what lasts beside gaps."""
    if watched.error:
        yield (
            ("error",),
            State("sample_error", "error", f"No sample: {watched.error}", "Samples come again."),
        )
    yield from _history(watched)
    if watched.namespaces_omitted:
        omitted = plural(watched.namespaces_omitted, "network namespace")
        yield (
            ("omitted",),
            State(
                "namespaces_omitted",
                "warning",
                f"{omitted} more than serve.most_netns are not sampled.",
                "Every network namespace is sampled again.",
            ),
        )
    for sentence in notices(watched.trials, watched.broken_off):
        yield ("change", sentence), State("change", "warning", sentence, f"Done: {sentence}")
    yield from _alerts(watched)


def _history(watched: Watched) -> Iterator[tuple[StateKey, State]]:
    """Yield how remembering goes, where it does not go well."""
    state = watched.history
    if state.state == "degraded":
        begins = f"History is degraded, samples go on: {state.reason}"
        yield (
            ("history", _alike(state.reason)),
            State("history_degraded", "warning", begins, "History: this is over."),
        )
    for file in state.set_aside:
        begins = f"A corrupt history was set aside, nothing of it is deleted: {file}"
        yield (
            ("set_aside", file),
            State("history_set_aside", "error", begins, f"It is gone: {file}"),
        )


def _alerts(watched: Watched) -> Iterator[tuple[StateKey, State]]:
    """Yield the alerts that fire."""
    firing = [alert for alert in watched.alerts if alert.state == FIRING]
    for alert in firing[:MOST_STATES]:
        level = LEVEL_OF_SEVERITY.get(alert.severity, "warning")
        name = f"{alert.name} ({alert.subject})"
        begins = f"Alert {name}: {alert.summary}"
        yield (
            ("alert", alert.name, alert.subject, alert.severity),
            State("alert", level, begins, f"Alert {name} is over."),
        )


def status_line(watched: Watched) -> str:
    """Return in a sentence how it goes; it changes only when that does."""
    if watched.error:
        return f"No sample: {watched.error}"
    keys = [key for known in watched.namespaces for key in known.sample.keys[:1]]
    worst = max((key.occupancy_ratio for key in keys), default=None)
    full = "no key is half full" if worst is None else f"the tightest key is {percent(worst)} full"
    many = plural(len(watched.namespaces), "network namespace")
    return f"Samples {many} every {duration(watched.interval_s)}; {full}."
