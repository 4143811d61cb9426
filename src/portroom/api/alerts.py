"""Alerts: which there are, and how they reach somebody.

Rules of this file:

- an address holds passwords: it is never quoted, only its kind, and where it stands;
- what sends them is imported when something is sent, for it is large.
"""

from __future__ import annotations

import datetime
import logging
import os
import threading
from collections.abc import Sequence
from importlib.util import find_spec

import msgspec

from portroom.api.configuration import notify_addresses
from portroom.errors import HistoryError, InvalidRequestError, NotSupportedError, PortroomError
from portroom.history.state_folder import read_state, write_state
from portroom.kernel.namespaces import identify
from portroom.model.advice.alert_table import RULES, told
from portroom.model.advice.notices import Sent
from portroom.model.facts.alert_rules import AlertRules
from portroom.model.facts.config import Alerts
from portroom.model.facts.gaps import Gap

SENT_STATE = "sent.json"

KINDS = {"critical": "failure", "warning": "warning", "info": "info", "success": "success"}
"""What Apprise calls how grave a message is."""

LONGEST_REASON = 300

_logging = threading.Lock()
"""Apprise says why it failed in its log alone, which is one for the process."""

ToldByAddress = dict[str, dict[str, Sent]]


def rules(config: Alerts) -> AlertRules:
    """Return every rule with the thresholds that hold, and where alerts go."""
    gaps: tuple[Gap, ...] = ()
    try:
        addresses = notify_addresses(config)
    except PortroomError as error:
        addresses, gaps = config.notify, (Gap("notify_file", str(error), ("addresses",)),)
    return AlertRules(
        host=os.uname().nodename,
        taken_at=datetime.datetime.now(datetime.UTC),
        netns=identify(),
        gaps=gaps,
        rules=tuple(told(rule, config) for rule in RULES),
        addresses=tuple(map(kind_of, addresses)),
    )


def checked_addresses(config: Alerts) -> tuple[str, ...]:
    """
    Return where alerts go, each an address that can be used.

    Raises:
        NotSupportedError: There are some, and what sends to them is not installed.
        InvalidRequestError: One is no address, or the file of addresses is missing.
        NotPermittedError: That file may not be read.
    """
    addresses = notify_addresses(config)
    if addresses:
        need_extra()
    for place, address in enumerate(addresses, 1):
        if not _is_address(address):
            raise InvalidRequestError(
                f"alerts.notify: address {place} of {len(addresses)} ({kind_of(address)}) is "
                "none that Apprise knows.",
                "The forms are listed on https://appriseit.com/services/.",
            )
    return addresses


def need_extra() -> None:
    """
    Return if what sends alerts is installed.

    Raises:
        NotSupportedError: It is not; the message says how to install it.
    """
    if find_spec("apprise") is None:
        raise NotSupportedError(
            "Sending alerts needs a package that is not installed.",
            "pip install 'portroom[notify]'",
        )


def kind_of(address: str) -> str:
    """
    Return the kind of an address, which is all of it that may be told.

    >>> kind_of("mailtos://me:secret@example.com"), kind_of("secret")
    ('mailtos', 'no kind')
    """
    kind, colons, _ = address.partition("://")
    is_kind = colons and kind.isascii() and kind.replace("+", "").isalnum() and len(kind) < 30
    return kind if is_kind else "no kind"


def send(address: str, title: str, body: str, severity: str) -> str:
    """
    Send a message to one address; it may take some seconds.

    Args:
        address: As Apprise writes it.
        title: One line.
        body: Plain text.
        severity: One of KINDS.

    Returns:
        Why it was not sent, "" where it was.
    """
    import apprise

    sender = apprise.Apprise()
    if not sender.add(address):
        return "this is no address that Apprise knows"
    capture = apprise.LogCapture(level=logging.WARNING, fmt="%(message)s")  # type: ignore[no-untyped-call]
    with _logging, capture as log:
        try:
            is_sent = sender.notify(
                title=title,
                body=body,
                notify_type=apprise.NotifyType(KINDS[severity]),
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception as error:  # noqa: BLE001 - a plugin of theirs may raise anything
            return f"{type(error).__name__}"
        said = log.getvalue()
    return "" if is_sent else _reason(said, address)


def read_sent(folder: str) -> ToldByAddress:
    """Return what each address was told in earlier runs; nothing where that cannot be read."""
    try:
        text = read_state(folder, SENT_STATE)
        return {} if text is None else msgspec.json.decode(text, type=ToldByAddress)
    except (HistoryError, OSError, msgspec.MsgspecError):
        return {}


def write_sent(folder: str, sent: ToldByAddress) -> str:
    """Write down what each address was told; return why it could not be, "" where it was."""
    try:
        write_state(folder, SENT_STATE, msgspec.json.encode(sent))
    except (HistoryError, OSError) as error:
        return str(error)
    return ""


def _is_address(address: str) -> bool:
    """Say whether Apprise can make anything of an address."""
    import apprise

    with _logging, apprise.LogCapture(level=logging.CRITICAL):  # type: ignore[no-untyped-call]
        return bool(apprise.Apprise().add(address))


def _reason(said: str, address: str) -> str:
    """Return what Apprise said of a failure, without what the address alone holds."""
    lines: Sequence[str] = [line.strip() for line in said.splitlines() if line.strip()]
    reason = "; ".join(dict.fromkeys(lines)) or "it was not taken"
    return reason.replace(address, kind_of(address))[:LONGEST_REASON]
