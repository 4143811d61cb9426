"""What hostile, broken and absent-minded clients do to the web, and what the others notice of it."""

from __future__ import annotations

import json
import resource
import select
import socket
import time

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.daemon import answering, guard, limits, web
from portroom.daemon.endpoints import ENDPOINTS, PATHS
from tests.kernel import harness
from tests.unit.daemon import made_web
from tests.unit.daemon.made_web import HOSTILE, Web, received
from tests.unit.render import examples

STATUS = "/api/v1/status"
HALF_OPEN = 500
SOON_S = 5.0


@pytest.fixture(scope="module")
def shared():
    """Return a web for all tests that leave it running."""
    with Web() as one:
        yield one


@pytest.fixture
def running(shared):
    """Return a web that shows one sample, and had no bug in the end."""
    harness.wait_until(lambda: not shared.board.streams, "streams of other tests end")
    shared.publish(made_web.watched())
    yield shared
    assert [] == shared.bugs


@pytest.fixture
def many_files():
    """Let this process have as many open files as the tests' other end needs."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def request(port, path=STATUS, *more, method=b"GET", version=b"1.1"):
    """Return the bytes of a good request, with more lines of headers."""
    lines = [b"%b %b HTTP/%b" % (method, path.encode(), version), b"Host: localhost:%d" % port]
    return b"\r\n".join([*lines, *more, b"", b""])


def first_line(answer):
    """Return the status of an answer; 0 where there is none."""
    return int(answer.split(b" ", 2)[1]) if answer else 0


def is_good(running):
    """Say whether a good request is answered soon."""
    began = time.monotonic()
    good = running.get(STATUS).status_code == 200
    return good and time.monotonic() - began < SOON_S


HALVES = (b"", b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")


@pytest.mark.usefixtures("many_files")
def test_half_open_connections_leave_room_for_good_requests(running):
    """500 of them, before, while and after; those that wait longest make room."""
    halves = []
    for number in range(HALF_OPEN):
        one = running.connect()
        one.sendall(HALVES[number % len(HALVES)])
        halves.append(one)
        if number % 100 == 0:
            assert is_good(running)

    assert all(is_good(running) for _ in range(10))

    still_open = len(halves) - len(select.select(halves, [], [], 0)[0])
    assert still_open <= limits.MOST_CONNECTIONS + limits.MOST_STREAMS
    for one in halves:
        one.close()


def test_who_does_not_finish_the_headers_is_told_and_left(running, monkeypatch):
    """After the time that headers may take; who said nothing is left without a word."""
    monkeypatch.setattr(limits, "HEADER_TIMEOUT_S", 0.2)

    assert [408, 408, 0] == [
        first_line(running.raw(sent)) for sent in (b"GET / HT", b"GET / HTTP/1.1\r\nA: b\r\n", b"")
    ]


def test_who_was_answered_just_now_does_not_make_room(monkeypatch):
    """Of those that wait, the one that waits longest does."""
    monkeypatch.setattr(limits, "MOST_CONNECTIONS", 3 - limits.MOST_STREAMS)
    with Web(made_web.watched()) as running:
        first, second = running.connect(), running.connect()
        first.sendall(request(running.port))
        until(first, b'"failures_gap"')
        others = [running.connect() for _ in range(2)]

        assert b"" == b"".join(received(second))
        first.sendall(request(running.port))
        until(first, b'"failures_gap"')
        for one in (first, second, *others):
            one.close()


def test_a_second_request_has_the_same_time(running, monkeypatch):
    """Bytes that trickle in do not hold the connection for ever."""
    monkeypatch.setattr(limits, "HEADER_TIMEOUT_S", 0.2)

    with running.connect() as one:
        one.sendall(request(running.port))
        first = until(one, b'"failures_gap"')
        one.sendall(b"GET / HT")
        second = b"".join(received(one))

    assert (200, 408) == (first_line(first), first_line(second))


LARGE = b"a" * (limits.MOST_UNWANTED_BYTES // 2)

TWO_LENGTHS = (
    b"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
)

MALFORMED = {
    "garbage": (b"\x00\x01\x02\r\n\r\n", 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xab" * 64 + b"\r\n\r\n", 400),
    "http2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "no host in 1.0": (b"GET / HTTP/1.0\r\n\r\n", 421),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "version": (b"GET / HTTP/9.9\r\nHost: {host}\r\n\r\n", 400),
    "space in target": (b"GET /a b HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
    "nul in header": (b"GET / HTTP/1.1\r\nHost: {host}\r\nX: a\0b\r\n\r\n", 400),
    "folded header": (b"GET / HTTP/1.1\r\nHost: {host}\r\n X: b\r\n\r\n", 421),
    "space before colon": (b"GET / HTTP/1.1\r\nHost : {host}\r\n\r\n", 400),
    "length": (b"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n", 400),
    "two lengths": (
        b"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
    ),
    "length and encoding": (
        TWO_LENGTHS + b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n",
        400,
    ),
    "encoding": (b"GET / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    "proxy": (b"GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
    "connect": (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
    "options": (b"OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
    "trace": (b"TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n", 405),
    "small letters": (b"get / HTTP/1.1\r\nHost: {host}\r\n\r\n", 405),
    "post": (b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{}", 405),
    "path up": (b"GET /api/v1/../../etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n", 404),
    "escaped path": (b"GET /%2e%2e/%00/%ff HTTP/1.1\r\nHost: {host}\r\n\r\n", 404),
    "query": (b"GET /api/v1/status?%ff=%00 HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
    "large target": (b"GET /" + LARGE + b" HTTP/1.1\r\nHost: {host}\r\n\r\n", 431),
    "large header": (b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + LARGE + b"\r\n\r\n", 431),
    "many headers": (
        b"GET / HTTP/1.1\r\nHost: {host}\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        431,
    ),
    "endless header": (b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + LARGE, 431),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_cannot_be_answered_gets_a_sentence(running, name):
    """A status of 4xx, a problem in JSON and all headers; then others are answered on."""
    sent, status = MALFORMED[name]
    host = b"localhost:%d" % running.port
    with running.connect() as one:
        one.sendall(sent.replace(b"{host}", host))
        one.shutdown(socket.SHUT_WR)
        answer = b"".join(received(one))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert status == first_line(answer)
    assert b"HTTP/1.1 200" not in body
    assert status == json.loads(body.splitlines()[0])["status"]
    assert [] == [name for name, value in guard.HEADERS if name + b": " + value not in head]
    assert is_good(running)


def test_a_body_is_not_read(running):
    """Who sends one is answered at once, and cut off where it goes on and on."""
    head = b"POST / HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 99999999999\r\n\r\n"
    with running.connect() as one:
        one.sendall(head % running.port)
        first = one.recv(65536)
        with pytest.raises(ConnectionError):
            one.sendall(LARGE * 10_000)

    assert 405 == first_line(first)
    assert is_good(running)


def test_a_reader_that_does_not_read_is_left(running, monkeypatch):
    """When it is stuck for long, whatever it was to be told."""
    monkeypatch.setattr(limits, "STUCK_TIMEOUT_S", 0.2)
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect((running.address, running.port))
    one.sendall(request(running.port, "/api/v1/openapi.json") * 100)
    harness.wait_until(lambda: is_reset(one), "the daemon to give up", deadline_s=10)
    one.close()

    assert is_good(running)


def is_reset(one):
    """Say whether the other end of a connection is gone."""
    waiting = select.poll()
    waiting.register(one, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
    return bool(waiting.poll(0))


@pytest.mark.parametrize("path", [endpoint.path for endpoint in ENDPOINTS])
def test_a_name_that_was_rebound_gets_nothing(running, path):
    """The browser of a victim sends the name that it knows, and that is not ours."""
    for host in (f"evil.example:{running.port}", "localhost", f"127.0.0.1:{running.port + 1}"):
        answer = running.get(path, host=host)

        assert 421 == answer.status_code
        assert "web1" not in answer.text


def test_a_page_of_another_site_gets_nothing(running):
    """Though it knows the right name: the browser says where it comes from."""
    for headers in ({"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}):
        answer = running.get(STATUS, **headers)

        assert 403 == answer.status_code
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", [endpoint.path for endpoint in ENDPOINTS])
def test_head_is_get_without_its_body(running, path):
    """And ends, be it of a stream."""
    answer = running.get(path, method="HEAD")

    assert b"" == answer.content
    assert ("/api/v1/history" == path) == (503 == answer.status_code)


def test_hostile_names_are_told_and_do_not_act(running):
    """No byte of them is raw in the answer; read as JSON they are what they were."""
    name = HOSTILE + "</script>\r\n\r\ndata: forged"
    key = examples.key(held=3, owners=[examples.owner(name)])
    running.publish(made_web.watched(made_web.known(keys=(key,))))

    for path in ("/api/v1/headroom", STATUS, "/api/v1/namespaces"):
        answer = running.get(path)
        told = answer.content.removesuffix(b"\n")

        assert not any(byte < 0x20 or byte == 0x7F for byte in told)
        assert "\u202e" not in told.decode()
    keys = running.get("/api/v1/headroom").json()["keys"]
    assert name == keys[0]["owners"][0]["command"]


def test_hostile_names_forge_no_event(running):
    """An event is one line of data."""
    where = examples.netns("a\r\n\r\nevent: forged", 7)
    running.publish(made_web.watched(made_web.known(where=where)))

    with (
        httpx.Client(trust_env=False) as client,
        client.stream("GET", running.url + PATHS.events) as answer,
    ):
        lines = answer.iter_lines()
        event = [next(lines) for _ in range(4)]

    assert ["id", "event", "data", "retry"] == [line.partition(":")[0] for line in event]
    assert where.name == json.loads(event[2].removeprefix("data: "))["netns"]["name"]


@pytest.mark.parametrize(
    "endpoint",
    [one for one in ENDPOINTS if 503 in one.statuses and one.path != PATHS.events],
    ids=lambda one: one.name,
)
def test_before_the_first_sample_there_is_a_sentence(endpoint):
    """And when to ask again."""
    with Web() as empty:
        answer = empty.get(endpoint.path)

    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
    assert "There is no sample yet" in answer.json()["message"]


def test_where_nothing_could_be_sampled_the_reason_is_told():
    """The error of the first sample, hostile or not."""
    told = msgspec.structs.replace(
        made_web.watched(), namespaces=(), missed_samples=3, error="no netlink"
    )
    with Web(told) as broken:
        answers = [broken.get(path) for path in (STATUS, "/api/v1/headroom", "/healthz")]

    assert [503, 503, 503] == [answer.status_code for answer in answers]
    assert all("no netlink" in answer.json()["message"] for answer in answers)


def test_what_is_not_there_is_told_with_what_is(running):
    """A path, a namespace, a parameter."""
    answers = [
        running.get(path)
        for path in (
            "/api/v1/headrooms",
            STATUS + "?netns=nowhere",
            STATUS + "?nets=host",
            "//",
            "/api",
        )
    ]

    assert [404, 404, 400, 404, 404] == [answer.status_code for answer in answers]
    hints = [answer.json()["hint"] for answer in answers]
    assert "Did you mean /api/v1/headroom?" == hints[0]
    assert "'host'" in hints[1]
    assert "Did you mean 'netns'?" == hints[2]


def test_one_answer_of_history_is_bounded(running):
    """However many keys and moments are allowed each, both at once are not."""
    answer = running.get("/api/v1/history?limit=100&points=1000")

    assert 400 == answer.status_code
    assert "at most 20,000" in answer.json()["message"]


def until(one, end):
    """Return what comes on a connection until something is in it."""
    found = b""
    while end not in found:
        part = one.recv(65536)
        assert part, found
        found += part
    return found


def listening(running, count=1):
    """Return connections on which events come, the first of them taken."""
    found = []
    for _ in range(count):
        one = running.connect()
        one.sendall(request(running.port, PATHS.events))
        until(one, b"event: status")
        found.append(one)
    return found


def test_a_stream_tells_each_sample():
    """The newest at once, and each that comes while one listens; none before the first."""
    with Web() as running, running.connect() as one:
        one.sendall(request(running.port, PATHS.events))
        head = until(one, b"\r\n\r\n")
        running.publish(made_web.watched(samples_total=1))
        first = until(one, b"retry")
        running.publish(made_web.watched(samples_total=2))
        second = until(one, b"retry")

    assert b"text/event-stream" in head
    assert b"event: status" not in head
    assert b'"samples_total":1' in first
    assert b'"samples_total":2' in second


def test_a_namespace_that_goes_is_told(running):
    """Its stream stays, and says so."""
    with running.connect() as one:
        one.sendall(request(running.port, PATHS.events + "?netns=host"))
        until(one, b"event: status")
        running.publish(made_web.watched(made_web.known(where=examples.netns())))

        assert until(one, b"event: gone")


def test_one_stream_too_many_is_told_to_come_again(running, monkeypatch):
    """Those that are there go on; when one ends, there is room."""
    monkeypatch.setattr(web, "MOST_STREAMS", 3)
    streams = listening(running, 3)

    refused = running.get(PATHS.events)
    streams.pop().close()
    harness.wait_until(lambda: running.board.streams == 2, "a stream to end")
    more = listening(running)

    assert (503, "10") == (refused.status_code, refused.headers["retry-after"])
    for one in (*streams, *more):
        one.close()


def test_all_streams_and_more_leave_room_for_requests(running):
    """As many as may be open, and those who only connect."""
    streams = listening(running, limits.MOST_STREAMS)
    idle = [running.connect() for _ in range(limits.MOST_CONNECTIONS + 10)]

    assert 503 == running.get(PATHS.events).status_code
    assert is_good(running)
    assert limits.MOST_STREAMS == running.board.streams
    for one in (*streams, *idle):
        one.close()
    harness.wait_until(lambda: not running.board.streams, "all streams to end")


def test_it_stops_at_once_with_streams_attached():
    """Each of them is ended, be it read or not, and so is who only connected."""
    with Web(made_web.watched()) as running:
        streams = [*listening(running, 100), running.connect()]
        began = time.monotonic()

        running.begin_to_stop()
        running._thread.join(5)
        took = time.monotonic() - began

    assert took < 1
    for one in streams:
        assert b"event: status" not in b"".join(received(one))  # it ends: this returns
        one.close()


def test_a_bug_is_told_and_ends_nothing(monkeypatch):
    """One line for the log, a sentence for who asked, and the others are answered on."""

    def broken(*_):
        """Fail."""
        raise RuntimeError("oh\nno")

    with Web(made_web.watched()) as running:
        monkeypatch.setattr(web, "parse_query", broken)
        answer = [running.get(STATUS) for _ in range(3)][-1]
        monkeypatch.undo()

        assert is_good(running)

    assert (500, 1) == (answer.status_code, len(running.bugs))
    assert running.bugs[0].startswith("RuntimeError: oh")


def test_a_bug_in_a_stream_is_told_and_ends_it(monkeypatch):
    """Whoever listens asks again; the others are answered on."""

    def broken(*_):
        """Fail."""
        raise RuntimeError("no")

    with Web(made_web.watched()) as running:
        (one,) = listening(running)
        monkeypatch.setattr(answering.law, "status", broken)
        running.publish(made_web.watched(samples_total=9))
        rest = b"".join(received(one))
        one.close()
        monkeypatch.undo()

        assert is_good(running)

    assert b"samples_total" not in rest.partition(b"retry")[2]
    assert 1 == len(running.bugs)


@given(
    st.sampled_from(
        [b"", b"GET ", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n"]
    ),
    st.binary(max_size=200),
)
def test_no_bytes_end_it(shared, start, rest):
    """Whatever is sent is answered with a status or with nothing, and no bug is met."""
    with shared.connect() as one:
        one.sendall(start + rest + b"\r\n\r\n")
        one.shutdown(socket.SHUT_WR)
        answer = b"".join(received(one))

    assert first_line(answer) in {0, 200, 400, 404, 405, 408, 421, 431}
    assert [] == shared.bugs


def test_a_unix_socket_is_this_host(tmp_path):
    """No token is needed there, and any port is right: there is none."""
    with Web(made_web.watched(), token="secret", path=str(tmp_path / "socket")) as running:
        answers = [
            running.raw(b"GET /healthz HTTP/1.0\r\nHost: " + host + b"\r\n\r\n")
            for host in (b"localhost", b"localhost:1", b"evil.example")
        ]

    assert [200, 200, 421] == list(map(first_line, answers))


ELSEWHERE = "192.0.2.7"


def test_other_hosts_need_the_token(netns):
    """With a bearer, or with the cookie that the page gives once; monitors need none."""

    def story():
        """Ask at an address that is not loopback."""
        harness.ip(f"address add {ELSEWHERE}/32 dev lo")
        with Web(made_web.watched(), token="secret", address=ELSEWHERE) as running:
            named = f"{ELSEWHERE}:{running.port}"
            local = f"localhost:{running.port}"
            first = running.get("/?token=secret", host=local)
            cookie = first.headers["set-cookie"]
            return [
                cookie,
                first.headers["location"],
                first.status_code,
                running.get("/?token=wrong", host=local).status_code,
                running.get(STATUS, host=local).status_code,
                running.get(STATUS, host=local, authorization="Bearer secret").status_code,
                running.get(STATUS, host=local, cookie=cookie.partition(";")[0]).status_code,
                running.get(STATUS, host=named, authorization="Bearer secret").status_code,
                running.get("/metrics", host=named).status_code,
                running.get("/healthz", host=named).status_code,
            ]

    cookie, *others = netns(story)

    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert ["/", 303, 401, 401, 200, 200, 421, 200, 200] == others
