"""What the daemon needs to begin: its observer, its folder, its token."""

from __future__ import annotations

from collections.abc import Mapping

from portroom.api.observing import Observer, history_file
from portroom.api.source import Saved, open_sources
from portroom.history import state_folder
from portroom.model.facts.config import Config


def folder_of(environment: Mapping[str, str]) -> str:
    """Return where the daemon keeps its state; nothing is made yet."""
    return state_folder.find(environment)


def observer(config: Config, folder: str, snapshot: str | None) -> Observer:
    """
    Return what looks at the kernel, or tells a saved Snapshot.

    Args:
        config: What is wanted.
        folder: Where state lies.
        snapshot: Path of a saved Snapshot: then nothing is sampled or remembered.

    Raises:
        PortroomError: The Snapshot cannot be read.
    """
    if snapshot is None:
        return Observer(config, folder)
    (saved,) = open_sources(snapshot=snapshot)
    assert isinstance(saved, Saved)
    return Observer(config, folder, saved)


def history_of(config: Config, folder: str) -> str:
    """Return where the history lies."""
    return history_file(config, folder)


def token_file(config: Config, folder: str) -> str:
    """Return where the token lies that others than this host need."""
    return config.serve.token_file or f"{folder}/token"


def token_of(config: Config, folder: str) -> str:
    """
    Return the token, made if there is none.

    Raises:
        HistoryError: It can neither be read nor made, or others may read it.
    """
    return state_folder.token(token_file(config, folder))
