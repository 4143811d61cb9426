"""How long a value lasts is told as it is: by its trial, its boot files, its namespace."""

from __future__ import annotations

import msgspec
import pytest

from portroom.model.advice.lasting import lasting
from portroom.model.facts.change import LIVE, PERSIST, PERSIST_ONLY
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.surroundings import Surroundings, Workload
from tests.unit.made_boot import boot, program
from tests.unit.made_change import drafted, host

POD = Surroundings(workload=Workload("kubernetes", "shop/web"))
NAMED = host(netns=NetnsId("shop", 4711, 4026531999, "named"))
OWN = b"/etc/sysctl.d/90-portroom.conf"


def told(words, read=None, around=None, **options):
    """Return code and sentence of what is noted."""
    change = drafted(words, read or host(), around or Surroundings(), **options)
    return [(one.code, one.sentence) for one in lasting(change)]


def booting(*lines, read=None, by=None):
    """Return a host whose boot file says some lines."""
    content = "\n".join(("# written by portroom", *lines, "")).encode()
    return msgspec.structs.replace(read or host(), boot=boot({OWN: content}, by=by))


def test_it_depends_on_the_namespace():
    """On a host until the next boot, elsewhere as long as the namespace."""
    ends = "The value ends with the network namespace"

    assert [("lost_at_boot", "The value lasts until the next boot.")] == told("tw_reuse=1")
    assert [("ends_with_namespace", f"{ends} shop.")] == told("tw_reuse=1", NAMED)
    assert [("ends_with_namespace", f"{ends} host.")] == told("tw_reuse=1", around=POD)
    assert [] == told("tw_reuse=2", NAMED)


def test_what_is_kept_is_not_lost():
    """A file is written then; what is said of it stands elsewhere."""
    assert [] == told("tw_reuse=1", where=PERSIST)
    assert [] == told("tw_reuse=1", where=PERSIST_ONLY)


@pytest.mark.parametrize("where", [LIVE, PERSIST])
@pytest.mark.parametrize("read", [host(), NAMED])
def test_a_trial_ends_before_anything_else(where, read):
    """It is said when, and not that the value lasts until the next boot."""
    ((code, sentence),) = told("tw_reuse=1", read, where=where, trial_s=300)

    assert code == "ends_with_trial"
    assert (
        sentence
        == "The value is put back 300 s after it is written, unless it is confirmed before."
    )


def test_a_trial_of_nothing_has_no_end():
    """There is nothing to put back."""
    assert [] == told("tw_reuse=2", trial_s=120)


def test_another_value_in_a_boot_file_is_told_by_its_line():
    """The old value comes back, and from there."""
    read = booting("net.ipv4.tcp_tw_reuse = 0")

    ((code, sentence),) = told("tw_reuse=1", read)

    assert code == "lost_at_boot"
    assert sentence == (
        "The value lasts until the next boot, which gives tcp_tw_reuse 0 "
        "(/etc/sysctl.d/90-portroom.conf:2)."
    )


def test_a_boot_that_gives_the_same_loses_nothing():
    """By a line, or because it is the kernel's default."""
    assert [] == told("tw_reuse=1", booting("net.ipv4.tcp_tw_reuse = 1"))
    assert [] == told("tw_reuse=2", booting("# nothing", read=host(tcp_tw_reuse=1)))


def test_of_several_settings_those_that_are_lost_are_named():
    """One is kept by the boot, another is not, of a third nobody knows."""
    read = booting("net.ipv4.tcp_tw_reuse = 1", "net.ipv4.ip_local_reserved_ports = 8080")

    assert told("range=15000-64001 tw_reuse=1 reserved=9000", read)[0][1] == (
        "The value of range, reserved lasts until the next boot, which gives reserved 8080 "
        "(/etc/sysctl.d/90-portroom.conf:3)."
    )


def test_where_nobody_knows_what_applies_the_files_no_line_is_named():
    """What is not known is not said."""
    read = booting("net.ipv4.tcp_tw_reuse = 0", by=program(None))

    assert [("lost_at_boot", "The value lasts until the next boot.")] == told("tw_reuse=1", read)
