"""Names in keys are replaced by others of the same length, never two by the same."""

from hypothesis import given
from hypothesis import strategies as some

from portroom.model.laws.redact_keys import FOLDER_NAMES, masked_names, without_detours
from portroom.model.laws.sysctl_lines import detours

WORDS = some.lists(some.text("abc日.-", min_size=1, max_size=4).map(str.encode), max_size=8)


@given(WORDS)
def test_replacements_differ_and_keep_their_length(names):
    """
    Whatever the names, unless there are more than replacements.
    """
    masks = masked_names(names)
    if masks is None:
        return

    assert set(names) - FOLDER_NAMES == set(masks)
    assert len(masks) == len(set(masks.values()))
    assert [*map(len, masks)] == [*map(len, masks.values())]
    assert not set(masks.values()) & FOLDER_NAMES


def test_every_name_that_is_left_again_is_replaced():
    """
    Also the first one after a minus, the last one, and one inside another.
    """
    key = b' -"alice/../net/bob/carl/../../ipv4/tcp_tw_reuse/dora/.." '
    masks = masked_names(name for _, name in detours(key))

    assert b' -"xxxxx/../net/xxx/xxxx/../../ipv4/tcp_tw_reuse/xxx1/.." ' == without_detours(
        key, masks
    )


def test_a_key_without_detour_stays():
    """
    A way up that leads out of nothing names nothing.
    """
    for key in (b"net.ipv4.tcp_tw_reuse", b"../../net/ipv4/x", b"", b" - "):
        assert key == without_detours(key, {b"net": b"xxx"})
