"""Save: one Snapshot that answers every question again, elsewhere or later."""

from __future__ import annotations

import msgspec

from portroom.api.look import take_all
from portroom.api.source import Live, Saved, Source
from portroom.model.facts.snapshot import Gap, Snapshot


def snapshot(source: Source, *, sessions: bool = False, redacted: bool = False) -> Snapshot:
    """
    Take a Snapshot of a namespace, or pass a saved one on.

    Args:
        source: The kernel, or a saved Snapshot (to redact it).
        sessions: Whether to keep every single socket and its owners too.
        redacted: Whether to replace addresses, names and ids.

    Raises:
        NotPermittedError: The namespace may not be entered.
    """
    taken = source.snapshot if isinstance(source, Saved) else _take(source, sessions)
    if redacted:
        from portroom.model.laws.redact import redact

        return redact(taken)
    return taken


def _take(source: Live, sessions: bool) -> Snapshot:
    """Take a Snapshot, with single sessions if they are wanted."""
    if not sessions:
        return source.run(lambda: take_all(source.known))
    from portroom.api.sessions import add_sessions
    from portroom.kernel.users import read_user_names

    def job() -> Snapshot:
        """Read all inside the namespace."""
        read = add_sessions(take_all(source.known))
        users = {} if isinstance(read.rows, Gap) else read_user_names(set(read.rows.uid))
        return msgspec.structs.replace(read, users=users)

    return source.run(job)
