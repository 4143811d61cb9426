"""A pulse has each counter, or says why not."""

from portroom.kernel.pulse import read_pulse
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import ConntrackStats
from tests.unit.kernel.test_conntrack import STATS
from tests.unit.kernel.test_netstat import COUNTS, NETSTAT, SNMP


def test_each_part_is_read_or_a_gap(tmp_path):
    """
    What is missing or cannot be read leaves the other part alone.
    """
    folder = tmp_path / "thread-self" / "net"
    (folder / "stat").mkdir(parents=True)
    untracked = read_pulse(7.5, str(tmp_path))
    (folder / "snmp").write_text(SNMP)
    (folder / "netstat").write_text(NETSTAT)
    (folder / "stat" / "nf_conntrack").write_text(STATS)
    whole = read_pulse(8.5, str(tmp_path))
    (folder / "stat" / "nf_conntrack").write_text("nothing")
    broken = read_pulse(9.5, str(tmp_path))

    assert isinstance(untracked.counts, Gap)
    assert (7.5, "could not be read (ENOENT)", None) == (
        untracked.at_s,
        untracked.counts.reason,
        untracked.conntrack,
    )
    assert COUNTS == whole.counts == broken.counts
    assert ConntrackStats(insert_failed=15, dropped=7, early_dropped=7) == whole.conntrack
    assert isinstance(broken.conntrack, Gap)
    assert "expected lines with" in broken.conntrack.reason
