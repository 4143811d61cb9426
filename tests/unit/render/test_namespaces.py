"""Many namespaces: the tightest of all first, and which were never tuned."""

from portroom.model.facts.answers import BootConflict, Drift, RangeUse
from portroom.render.namespaces import all_as_text
from portroom.render.units import Style, columns
from tests.unit.render import examples

TUNED = RangeUse(15000, 64000, 49_001, 1, 49_000)


def containers(count, use=examples.RANGE):
    """Return so many namespaces that hold nothing."""
    return [examples.status([], where=examples.netns(f"web{i}", i), use=use) for i in range(count)]


def test_the_tightest_namespace_stands_first():
    """Its key is the answer, and its line the first of the table."""
    busy = examples.status([examples.TIGHT], where=examples.netns("db"))

    lines = all_as_text([*containers(2), busy], Style(width=0)).splitlines()

    assert lines[0] == (
        "42 more connections fit to 10.0.0.9:443 in namespace db, the tightest of 3 namespaces."
    )
    assert lines[3].startswith("db ")


def test_a_tuned_host_is_set_against_the_namespaces_that_were_not():
    """One sentence tells how many do not have the range of the host."""
    actual = all_as_text([examples.status(use=TUNED), *containers(37)], Style(width=0))

    assert (
        "The host has the range 15000-64000; 37 of 37 other namespaces have another: "
        "a range is not inherited."
    ) in actual


def test_alike_namespaces_are_told_as_such():
    """Where all have the range of the host, nothing is set against it."""
    actual = all_as_text([examples.status(), *containers(2)], Style(width=0))

    assert ("The host has the range 32768-60999, and so have the 2 other namespaces.") in actual


def test_every_line_fits_the_terminal():
    """At 80 columns no line is longer."""
    answers = [examples.status(use=TUNED), *containers(3)]

    for line in all_as_text(answers, Style(width=80)).splitlines():
        assert columns(line) <= 80


def test_drift_of_the_host_stands_below():
    """Once, with the programs that differ; the other namespaces have none."""
    drift = [Drift("range", "15000-64000", "15000-65000", "/etc/sysctl.conf", 3)]
    conflict = [BootConflict("range", {"systemd": "15000-65000", "procps": "15000-64000"})]
    host = examples.status(use=TUNED, drift=drift, boot_conflicts=conflict)

    actual = all_as_text([host, *containers(3)], Style(width=0))

    assert (
        "\nDrift in host: range is 15000-64000, the next boot gives 15000-65000 "
        "(/etc/sysctl.conf:3).\nBoot: systemd-sysctl and sysctl --system differ on range: "
    ) in actual
    assert actual.count("Drift") == actual.count("Boot:") == 1
