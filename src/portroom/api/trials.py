"""
Trials: which wait for their confirmation, and which change broke off.

Changes nothing, and costs next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from portroom.kernel.broken_off import JOURNAL, read_broken_off
from portroom.kernel.trials import RUN, TrialsSeen, read_trials, users_folders
from portroom.model.facts.answers import Status
from portroom.model.facts.trial import PendingTrial

STATE_FROM_ENVIRONMENT = (("XDG_STATE_HOME", "portroom"), ("HOME", ".local/state/portroom"))
"""Where the state of a user lies who may change settings without being root."""

RUN_FROM_ENVIRONMENT = (("XDG_RUNTIME_DIR", "portroom"),)


def _named(
    environment: Mapping[str, str], variables: tuple[tuple[str, str], ...]
) -> tuple[str, ...]:
    """Return the folders that variables of the environment lead to."""
    return tuple(
        f"{environment[name]}/{inside}"
        for name, inside in variables
        if environment.get(name, "").startswith("/")
    )


def run_folders(environment: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return the folders in which a trial of the system, or of this user, may lie.

    >>> run_folders({"XDG_RUNTIME_DIR": "/run/user/7"})
    ('/run/portroom', '/run/user/7/portroom')
    """
    return RUN, *_own_run_folders(environment)


def _own_run_folders(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the folders in which a trial of this user may lie, and the lock."""
    states = _named(environment, STATE_FROM_ENVIRONMENT)
    return *_named(environment, RUN_FROM_ENVIRONMENT), *(f"{state}/run" for state in states)


def trials(environment: Mapping[str, str] = os.environ) -> TrialsSeen:
    """
    Return the trials that wait, the changes that broke off, and what was not understood.

    Those of the system, of this user, and of all others whose folder may be seen.
    """
    own = _own_run_folders(environment)
    seen = [read_trials(folder) for folder in folders(environment)]
    journals: dict[str, tuple[str, ...]] = {JOURNAL: (RUN,)}
    for state in _named(environment, STATE_FROM_ENVIRONMENT):
        journals[f"{state}/journal"] = own
    broken = [read_broken_off(*one) for one in journals.items()]
    return TrialsSeen(
        tuple(trial for one in seen for trial in one.trials),
        tuple(gap for one in seen for gap in one.gaps),
        tuple(one for one in broken if one is not None),
    )


def pending() -> tuple[PendingTrial, ...]:
    """Return the trials that wait for their confirmation."""
    return trials().trials


def folders(environment: Mapping[str, str]) -> list[str]:
    """Return the folders of trials of the system, of this user, and of others that are seen."""
    return list(dict.fromkeys([*run_folders(environment), *users_folders()]))


def with_trials(answer: Status) -> Status:
    """Return the status of a running system with the trials that wait there."""
    import msgspec

    seen = trials()
    return msgspec.structs.replace(
        answer,
        trials=seen.trials,
        broken_off=seen.broken_off,
        gaps=(*answer.gaps, *seen.gaps),
    )
