"""Whom sysctl files reach: the namespace that boots, and the whole system of a host."""

import pytest
from msgspec.structs import replace

from portroom.model.facts.gaps import Gap
from portroom.model.facts.settings import RANGE_KEY
from portroom.model.facts.snapshot import NetnsId, Settings
from portroom.model.laws.boot_reach import (
    ELSEWHERE,
    NOT_SURELY_HERE,
    ONLY_INITIAL,
    SYSTEM_WIDE,
    barred,
)
from tests.unit.made_groups import snapshot

KEYS = (RANGE_KEY, "net.core.somaxconn", "fs.nr_open", "kernel.panic")
OF_NAMESPACE, OF_SYSTEM = KEYS[:2], KEYS[2:]


def taken(kind, *, initial=True):
    """Return a Snapshot of a namespace of this kind."""
    known = Settings({ONLY_INITIAL: 1} if initial else {})
    read = snapshot(Gap("groups", "none"), known)
    return replace(read, netns=NetnsId("ns", 1, 4026531840, kind))


@pytest.mark.parametrize(
    ("kind", "initial", "looked", "expected"),
    [
        ("host", True, True, {}),
        ("host", False, True, dict.fromkeys(OF_SYSTEM, SYSTEM_WIDE)),
        ("host", False, False, {}),
        ("named", False, True, dict.fromkeys(OF_NAMESPACE, ELSEWHERE)),
        ("container", False, False, dict.fromkeys(OF_NAMESPACE, ELSEWHERE)),
        ("process", True, True, dict.fromkeys(OF_NAMESPACE, NOT_SURELY_HERE)),
    ],
)
def test_what_files_do_not_reach(kind, initial, looked, expected):
    """
    Another namespace keeps its own, a container leaves the whole system to its host.
    """
    assert expected == barred(taken(kind, initial=initial), KEYS, looked=looked)
