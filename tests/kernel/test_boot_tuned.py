"""The boot law and the real tuned agree, on trees drawn from the rules.

Collected only where there is a tuned; tests/kernel/conftest.py says so where not.
"""

from __future__ import annotations

import os

import hypothesis
import pytest
from hypothesis import strategies

from portroom.kernel.sysctl_d import read_tree
from portroom.model.facts.sysctl_files import DIRECTORIES
from portroom.model.laws.boot import boot
from portroom.model.laws.dialects import TUNED, dialect
from portroom.model.laws.outcomes import APPLIED
from tests.kernel.boot_host import DEFAULTS, Host, found_programs, held
from tests.kernel.boot_trees import KEYS, PHASES, Tree, trees
from tests.kernel.boot_tuned import Plugin, Tuned, found_tuned

EXCLUDED = strategies.sampled_from([(), (), ("net.ipv4.tcp_*",), ("nothing", "*range")])

TREES = 800 if os.environ.get("PORTROOM_TESTS") == "full" else 100


@pytest.mark.parametrize("tuned", found_tuned(), ids=lambda tuned: tuned.label)
def test_the_law_says_what_tuned_does(netns, tuned):
    """
    After each tree every sysctl holds what the law says, and the line that is named holds it.
    """
    compared = netns(compare_trees, tuned, deadline_s=600)

    assert compared >= TREES


def compare_trees(tuned: Tuned) -> int:
    """
    Compare law and tuned on drawn trees; return how many were.
    """
    plugin = Plugin(tuned)
    host = Host(found_programs()[0])
    rules = dialect(TUNED, tuned.version)
    compared = [0]

    @hypothesis.settings(max_examples=TREES, database=None, phases=PHASES)
    @hypothesis.given(
        trees(DIRECTORIES[:2]), EXCLUDED if plugin.can_exclude else strategies.just(())
    )
    def one(tree: Tree, excluded: tuple[str, ...]) -> None:
        compared[0] += 1
        tree.make(host)
        plugin.excludes(excluded)
        listed = rules._replace(left_out=excluded)
        predicted = boot(read_tree(str(host.root)), listed, KEYS, DEFAULTS)
        plugin.boot(host)

        assert predicted.state == {key: held(key) for key in DEFAULTS}
        for verdict in predicted.verdicts:
            applied = [one.place for one in verdict.candidates if one.fate.outcome == APPLIED]

            assert applied == [verdict.winner] * (verdict.winner is not None)

    one()
    return compared[0]
