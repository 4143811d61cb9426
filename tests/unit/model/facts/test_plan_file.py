"""The file of a plan is what was planned, and nothing that was edited since."""

import datetime

import msgspec
import pytest

from portroom.errors import InvalidRequestError, RefusedError
from portroom.model.facts.change import (
    ChangePlan,
    FileContent,
    FileStep,
    Request,
    SettingChange,
    SettingStep,
    inverse,
)
from portroom.model.facts.plan_file import decode, encode
from portroom.model.facts.snapshot import NetnsId

HERE = NetnsId("host", 1, 4026531840, "host")

PLAN = ChangePlan(
    host="web1",
    taken_at=datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC),
    netns=HERE,
    boot_id="b",
    request=Request(("tw_reuse=1",)),
    changes=(SettingChange("tcp_tw_reuse", "net.ipv4.tcp_tw_reuse", 2, 1),),
    steps=(
        SettingStep(HERE, "net.ipv4.tcp_tw_reuse", "2", "1"),
        FileStep("/etc/sysctl.d/90-portroom.conf", None, FileContent(b"x \xff\n")),
    ),
)


def test_a_plan_is_read_as_it_was_written():
    """What is decoded is what was encoded, bytes that are no text included."""
    assert (PLAN,) == decode(encode([PLAN]), "plan")


def test_a_plan_taken_back_twice_is_the_plan():
    """The inverse of the inverse is the same."""
    assert inverse(inverse(PLAN.steps)) == PLAN.steps


def edited(old, new):
    """Return the file of the plan with something replaced by hand."""
    content = encode([PLAN])

    assert old in content
    return content.replace(old, new)


@pytest.mark.parametrize(
    "content",
    [
        edited(b'"after": "1"', b'"after": "0"'),
        edited(b"tcp_tw_reuse", b"tcp_fin_timeout"),
        edited(b'"web1"', b'"web2"'),
    ],
)
def test_an_edited_plan_is_refused(content):
    """A plan that was edited by hand is not applied."""
    with pytest.raises(RefusedError, match="changed after it was made"):
        decode(content, "plan")


def test_no_plan_at_all_is_refused():
    """A file without any plan has nothing to apply."""
    whole = {"format": "portroom-plan", "format_version": 1, "digest": "", "plans": []}

    with pytest.raises(RefusedError):
        decode(msgspec.json.encode(whole), "plan")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        b"\xff\xfe",
        encode([PLAN])[:-20],
        edited(b'"format_version": 1', b'"format_version": 2'),
        edited(b'"kind": "setting"', b'"kind": "shell"'),
        edited(b'"portroom-plan"', b'"else"'),
    ],
)
def test_what_is_no_plan_is_one_sentence(content):
    """A damaged or foreign file is refused with a sentence that names it."""
    with pytest.raises(InvalidRequestError, match="'plan'"):
        decode(content, "plan")
