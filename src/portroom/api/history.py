"""History: what was seen since a time. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from portroom.api.configuration import configuration
from portroom.errors import NotPermittedError
from portroom.history import state_folder
from portroom.history.reading import read_history
from portroom.kernel.broken_off import JOURNAL
from portroom.kernel.namespaces import identify
from portroom.kernel.sampling import read_instant
from portroom.model.facts.questions import HistoryQuestion
from portroom.model.facts.watched import History, Watched

SYSTEM_FOLDER = "/var/lib/portroom-agent"
"""The state folder of ``packaging/systemd/portroom-agent.service``."""


def history(
    question: HistoryQuestion, file: str | None = None, watched: Watched | None = None
) -> History:
    """
    Say what was seen, and what happened meanwhile.

    Args:
        question: Since when, of which keys, and how fine.
        file: The database; None is where a daemon of this host keeps it.
        watched: What the daemon knows, if it is the one who asks: then its last
            sample is now.

    Raises:
        InvalidRequestError: The question cannot be asked so.
        HistoryError: There is no history, or it cannot be read.
        NotSupportedError: There is no proc file system.
    """
    where = file or find_file()
    journals = tuple(_journals(os.environ))
    if watched is None:
        now, host = read_instant(), os.uname().nodename
        return read_history(where, question, now, host, identify(), journals)
    netns = watched.namespaces[0].sample.netns if watched.namespaces else identify()
    return read_history(where, question, watched.now, watched.host, netns, journals)


def find_file(environment: Mapping[str, str] = os.environ, system: str = SYSTEM_FOLDER) -> str:
    """
    Return where a daemon of this host keeps its history.

    That of the configuration; else the caller's own if there is one, and then that of
    the system's daemon.

    Raises:
        InvalidRequestError: The configuration cannot be understood.
    """
    try:
        configured = configuration(None).history.file
    except NotPermittedError:
        configured = ""  # the daemon's alone; its folder is where it always is
    if configured:
        return configured
    folders = (state_folder.find(environment), system)
    files = [f"{folder}/{state_folder.HISTORY}" for folder in folders]
    return next(filter(os.path.lexists, files), files[0])


def _journals(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders of journals whose changes concern the caller."""
    yield JOURNAL
    own = {key: value for key, value in environment.items() if key != "STATE_DIRECTORY"}
    yield f"{state_folder.find(own)}/journal"
