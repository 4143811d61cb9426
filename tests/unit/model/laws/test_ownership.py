"""Owners of many sockets are added up."""

from hypothesis import given
from hypothesis import strategies as st

from portroom.model.facts.sockets import Owner
from portroom.model.laws.ownership import owners_of, unowned

WEB = Owner(7, 100, "web", 33, "web.service", None)
WEB_LATER = Owner(7, 900, "web", 33, "web.service", None)
SHELL = Owner(3, 50, "sh", 0, None, None)


def test_the_one_with_most_sockets_stands_first():
    """
    Sockets count for their owner; of equal owners the lower pid is first.
    """
    by_inode = {1: (WEB,), 2: (WEB,), 3: (SHELL,), 4: (WEB_LATER,)}

    found = owners_of(by_inode, [(3, 1), (1, 1), (2, 4), (4, 1)])

    assert [(7, 100, 5), (3, 50, 1), (7, 900, 1)] == [
        (owner.pid, owner.start_time, owner.sockets) for owner in found
    ]


def test_a_shared_socket_counts_for_each_owner():
    """
    A listener of two processes is one socket of each.
    """
    found = owners_of({1: (WEB, SHELL)}, [(1, 1)])

    assert [(3, 1), (7, 1)] == [(owner.pid, owner.sockets) for owner in found]


def test_a_socket_without_an_owner_is_nobodys():
    """
    TIME_WAIT has inode 0 and no owner; it is unknown and never root's.
    """
    assert () == owners_of({}, [(0, 12)])
    assert 12 == unowned({1: (WEB,)}, [(0, 12), (1, 3)])


@given(
    st.dictionaries(st.integers(1, 9), st.sampled_from([(WEB,), (SHELL,), (WEB_LATER,)])),
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5))),
)
def test_sockets_with_one_owner_each_add_up(by_inode, sockets):
    """
    What owners hold and what nobody holds is all there is.
    """
    held = sum(owner.sockets for owner in owners_of(by_inode, sockets))

    assert sum(count for _, count in sockets) == held + unowned(by_inode, sockets)
