"""Words of ``portroom sessions``: both spellings of states, protocols, sort orders."""

import pytest

from portroom.errors import InvalidRequestError
from portroom.model.facts.sockets import Protocol, TcpState
from portroom.model.laws.session_words import (
    EVERY_STATE,
    SortKey,
    parse_protocols,
    parse_sort,
    parse_states,
)

SS_NAMES = {
    "ESTAB": TcpState.ESTABLISHED,
    "SYN-SENT": TcpState.SYN_SENT,
    "SYN-RECV": TcpState.SYN_RECV,
    "FIN-WAIT-1": TcpState.FIN_WAIT1,
    "FIN-WAIT-2": TcpState.FIN_WAIT2,
    "TIME-WAIT": TcpState.TIME_WAIT,
    "UNCONN": TcpState.CLOSE,
    "CLOSE-WAIT": TcpState.CLOSE_WAIT,
    "LAST-ACK": TcpState.LAST_ACK,
    "LISTEN": TcpState.LISTEN,
    "CLOSING": TcpState.CLOSING,
    "BOUND-INACTIVE": TcpState.BOUND_INACTIVE,
}


@pytest.mark.parametrize(("word", "state"), SS_NAMES.items())
def test_the_spelling_of_ss_names_a_state(word, state):
    """What ``ss`` prints and takes is understood, in any case."""
    assert {state} == parse_states([word]) == parse_states([word.lower()])


@pytest.mark.parametrize("state", sorted(EVERY_STATE - {TcpState.NEW_SYN_RECV}))
def test_the_spelling_of_the_kernel_names_a_state(state):
    """What we print ourselves is understood."""
    assert {state} == parse_states([state.name])


def test_no_word_is_every_state():
    """Without ``--state`` nothing is filtered."""
    assert EVERY_STATE == parse_states([]) == parse_states(["all"])


def test_several_words_are_joined():
    """A comma and a second option mean the same."""
    expected = {TcpState.LISTEN, TcpState.TIME_WAIT}

    assert expected == parse_states(["listen,time-wait"])
    assert expected == parse_states(["listen", "time-wait"])


def test_groups_are_those_of_ss():
    """``connected`` is all but listening and closed, and so on."""
    connected = parse_states(["connected"])
    small = parse_states(["bucket"])

    assert {TcpState.LISTEN, TcpState.CLOSE, TcpState.BOUND_INACTIVE} == (EVERY_STATE - connected)
    assert {TcpState.SYN_SENT} == connected - parse_states(["synchronized"])
    assert EVERY_STATE == small | parse_states(["big"])


def test_protocols_come_in_our_order():
    """The order of the words does not matter; no word is all of them."""
    expected = (Protocol.TCP, Protocol.UDPLITE)

    assert expected == parse_protocols(["udp-lite", "TCP"])
    assert tuple(Protocol) == parse_protocols([])


def test_sort_keys_keep_their_order_and_direction():
    """The first is the most important; a minus turns one round."""
    expected = (SortKey("uid"), SortKey("recv", descending=True), SortKey("proto"))

    assert expected == parse_sort(["user,-Recv-Q", "proto"])


@pytest.mark.parametrize("parse", [parse_states, parse_protocols, parse_sort])
@pytest.mark.parametrize("word", ["", "nosuch", "x\x1b[31m"])
def test_an_unknown_word_is_refused_and_quoted(parse, word):
    """The message quotes the word, harmless; the hint lists those that are known."""
    with pytest.raises(InvalidRequestError) as caught:
        parse([word])

    assert repr(word) in caught.value.message
    assert "\x1b" not in caught.value.message
    assert caught.value.hint


def test_unix_sockets_are_said_to_be_out_of_scope():
    """Who knows ``ss -x`` is told why it is not here."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_protocols(["unix"])

    assert "out of scope" in caught.value.hint
