"""The settings of a saved Snapshot and of the kernel are asked alike."""

import datetime

import pytest

from portroom.api.settings import settings
from portroom.api.source import Saved
from portroom.errors import InvalidRequestError
from portroom.model.facts.ports import PortRange
from portroom.model.facts.settings import SETTINGS
from portroom.model.facts.snapshot import NetnsId, Settings, Snapshot

SAVED = Saved(
    Snapshot(
        host="web1",
        boot_id="b",
        taken_at=datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC),
        netns=NetnsId("host", 1, 4026531840, "host"),
        settings=Settings(
            {
                "net.ipv4.ip_local_port_range": PortRange(40000, 40009),
                "net.ipv4.tcp_tw_reuse": 1,
            }
        ),
    )
)


def test_without_names_every_setting_is_told():
    """
    All rows of the table come, in its order.
    """
    told = [state.name for state in settings(SAVED).settings]

    assert [row.name for row in SETTINGS] == told


def test_names_and_keys_are_told_in_their_order_and_once():
    """
    A name and its key are the same setting.
    """
    answer = settings(SAVED, ["tcp_tw_reuse", "range", "net.ipv4.tcp_tw_reuse"])

    assert ["tcp_tw_reuse", "range"] == [state.name for state in answer.settings]
    assert 1 == answer.settings[0].current


def test_a_name_that_is_none_is_refused():
    """
    A typo is refused before anything is read.
    """
    with pytest.raises(InvalidRequestError, match="Did you mean 'range'"):
        settings(SAVED, ["rangee"])
