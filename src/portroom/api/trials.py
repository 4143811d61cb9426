"""Trials: which wait for their confirmation. Changes nothing, and costs next to nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping

from portroom.kernel.trials import RUN, TrialsSeen, read_trials
from portroom.model.facts.answers import Status
from portroom.model.facts.trial import PendingTrial

FROM_ENVIRONMENT = (
    ("XDG_RUNTIME_DIR", "portroom"),
    ("XDG_STATE_HOME", "portroom/run"),
    ("HOME", ".local/state/portroom/run"),
)
"""Where trials of a user lie who may change settings without being root."""


def run_folders(environment: Mapping[str, str]) -> list[str]:
    """
    Return the folders in which a trial of the system, or of this user, may lie.

    >>> run_folders({"XDG_RUNTIME_DIR": "/run/user/7"})
    ['/run/portroom', '/run/user/7/portroom']
    """
    own = [
        f"{environment[name]}/{inside}"
        for name, inside in FROM_ENVIRONMENT
        if environment.get(name, "").startswith("/")
    ]
    return [RUN, *own]


def trials(environment: Mapping[str, str] = os.environ) -> TrialsSeen:
    """Return the trials that wait, and what could not be understood."""
    seen = [read_trials(folder) for folder in run_folders(environment)]
    return TrialsSeen(
        tuple(trial for one in seen for trial in one.trials),
        tuple(gap for one in seen for gap in one.gaps),
    )


def pending() -> tuple[PendingTrial, ...]:
    """Return the trials that wait for their confirmation."""
    return trials().trials


def with_trials(answer: Status) -> Status:
    """Return the status of a running system with the trials that wait there."""
    import msgspec

    seen = trials()
    if not seen.trials and not seen.gaps:
        return answer
    return msgspec.structs.replace(answer, trials=seen.trials, gaps=(*answer.gaps, *seen.gaps))
