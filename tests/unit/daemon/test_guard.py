"""Who may ask the daemon, and who may not."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.daemon import guard
from portroom.daemon.endpoints import ENDPOINTS
from portroom.daemon.guard import Allowed, Asked, refusal

LOOPBACK, ELSEWHERE = ("127.0.0.1", 9765), ("192.0.2.7", 9765)
OPEN = Allowed(own_names=("web1.example", "web1"), token="secret")
STATUS = "/api/v1/status"


def asked(
    path=STATUS, *, host="localhost:9765", local=LOOPBACK, method="GET", query=b"", **headers
):
    """Return a request; headers by their names with underscores."""
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    named |= {} if host is None else {"host": [host]}
    return Asked(method, path, path.encode(), query, named, 100, local)


def status_of(request, allowed=OPEN):
    """Return the status of the refusal, 200 where there is none."""
    found = refusal(request, allowed)
    return 200 if found is None else found.problem.status


@pytest.mark.parametrize(
    "host", ["localhost:9765", "LOCALHOST:9765", "127.0.0.1:9765", "[::1]:9765"]
)
def test_local_names_are_answered(host):
    """With the port that it listens on, in letters of any size."""
    assert 200 == status_of(asked(host=host))


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "localhost",
        "localhost:80",
        "localhost:9766",
        "localhost:09765x",
        "localhost:99999",
        "localhost:0",
        "localhost.:9765",
        "evil.example:9765",
        "localhost.evil.example:9765",
        "localhost:9765@evil.example",
        "user@localhost:9765",
        "localhost:9765,evil.example",
        "localhost :9765",
        "127.0.0.1.evil.example:9765",
        "127.1:9765",
        "[::1:9765",
        "[evil.example]:9765",
        "[::ffff:127.0.0.1]:9765",
        "192.0.2.7:9765",
        "web1:9765",
    ],
)
@pytest.mark.parametrize("path", [endpoint.path for endpoint in ENDPOINTS])
def test_any_other_host_is_misdirected(host, path):
    """A name that somebody else's name server leads here is not ours, whatever is asked."""
    assert 421 == status_of(asked(path, host=host))


@given(st.text(string.printable, max_size=40))
def test_no_name_but_ours_is_answered(host):
    """Whatever stands in the Host header."""
    ours = {"localhost:9765", "127.0.0.1:9765", "[::1]:9765"}

    assert (200 if host.lower() in ours else 421) == status_of(asked(host=host))


def test_two_hosts_are_none():
    """Which of them is meant, nobody knows."""
    request = asked()._replace(headers={"host": ["localhost:9765", "localhost:9765"]})

    assert 421 == status_of(request)


def test_without_a_port_the_usual_one_is_meant():
    """Who listens on 80 is asked without."""
    assert 200 == status_of(asked(host="localhost", local=("127.0.0.1", 80)))
    assert 421 == status_of(asked(host="localhost:0", local=("127.0.0.1", 80)))


@pytest.mark.parametrize(
    ("configured", "host", "status"),
    [
        ("ports.example", "ports.example:9765", 200),
        ("Ports.Example", "PORTS.example:9765", 200),
        ("ports.example", "ports.example", 421),
        ("ports.example:443", "ports.example:443", 200),
        ("ports.example:443", "ports.example:9765", 421),
        ("192.0.2.7", "192.0.2.7:9765", 200),
        ("2001:db8::1", "[2001:db8::1]:9765", 200),
        ("not a name", "not a name:9765", 421),
    ],
)
def test_configured_names_are_answered(configured, host, status):
    """With the daemon's own port, or with the one that is configured."""
    assert status == status_of(asked(host=host), Allowed(hosts=(configured,)))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.0.2.7:9765", 200),
        ("198.51.100.1:9765", 200),
        ("[2001:db8::1]:9765", 200),
        ("web1:9765", 200),
        ("web1.example:9765", 200),
        ("192.0.2.7:80", 421),
        ("evil.example:9765", 421),
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
def test_monitors_name_the_host_by_its_address(path, host, status):
    """At another address than loopback, and with the port; nobody can rebind an address."""
    assert status == status_of(asked(path, host=host, local=ELSEWHERE))
    assert 421 == status_of(asked(STATUS, host=host, local=ELSEWHERE))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"])
def test_nothing_can_be_written(method):
    """Any other method is refused, and told which there are."""
    found = refusal(asked(method=method), OPEN)

    assert (405, (("allow", "GET, HEAD"),)) == (found.problem.status, found.headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:9765"}, 200),
        ({"origin": "https://localhost:9765"}, 200),
        ({"origin": "http://LOCALHOST:9765"}, 200),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://localhost"}, 403),
        ({"origin": "http://127.0.0.1:9765"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "file://localhost:9765"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "new-word"}, 403),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, 403),
        (
            {
                "sec_fetch_site": "cross-site",
                "sec_fetch_mode": "navigate",
                "sec_fetch_dest": "document",
            },
            200,
        ),
        (
            {
                "sec_fetch_site": "cross-site",
                "sec_fetch_mode": "navigate",
                "sec_fetch_dest": "iframe",
            },
            403,
        ),
        ({"origin": "http://localhost:9765", "sec_fetch_site": "cross-site"}, 403),
    ],
)
def test_pages_of_others_are_refused(headers, status):
    """A browser tells who asks; a link that a person follows is answered."""
    assert status == status_of(asked(**headers))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer secret"}, 200),
        ({"authorization": "bearer secret"}, 200),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Basic secret"}, 401),
        ({"authorization": "secret"}, 401),
        ({"authorization": "Bearer s\xe9cret"}, 401),
        ({"cookie": "portroom_token=secret"}, 200),
        ({"cookie": "a=b; portroom_token=secret; c=d"}, 200),
        ({"cookie": "portroom_token=wrong; portroom_token=secret"}, 200),
        ({"cookie": "portroom_token=wrong"}, 401),
        ({"cookie": "xportroom_token=secret"}, 401),
    ],
)
def test_at_other_addresses_the_token_is_needed(headers, status):
    """As a bearer or in the cookie; at loopback none is."""
    hosts = OPEN._replace(hosts=("web1",))

    assert status == status_of(asked(host="web1:9765", local=ELSEWHERE, **headers), hosts)
    assert 200 == status_of(asked(**headers), hosts)


def test_without_a_token_nobody_comes_in_from_elsewhere():
    """An empty one, or none, fits nothing."""
    for token in (None, ""):
        allowed = Allowed(hosts=("web1",), token=token)
        request = asked(host="web1:9765", local=ELSEWHERE, authorization="Bearer ")

        assert 401 == status_of(request, allowed)


def test_the_token_in_an_address_opens_the_page_alone():
    """It is not taken anywhere else, where it would stand in logs."""
    hosts = OPEN._replace(hosts=("web1",))
    page = asked("/", host="web1:9765", local=ELSEWHERE, query=b"token=secret")

    assert 200 == status_of(page, hosts)
    assert 401 == status_of(page._replace(path=STATUS, target=STATUS.encode()), hosts)
    assert 401 == status_of(page._replace(query=b"token=other"), hosts)


def test_monitors_need_no_token_unless_metrics_tell_addresses():
    """Metrics with destinations are for those who may see them."""
    metrics = asked("/metrics", host="192.0.2.7:9765", local=ELSEWHERE)
    health = asked("/healthz", host="192.0.2.7:9765", local=ELSEWHERE)
    closed = OPEN._replace(open_metrics=False)

    assert [200, 200] == [status_of(metrics), status_of(health)]
    assert [401, 200] == [status_of(metrics, closed), status_of(health, closed)]


@pytest.mark.parametrize(
    ("local", "is_local"),
    [
        (("127.0.0.1", 1), True),
        (("127.8.8.8", 1), True),
        (("::1", 1), True),
        (("::ffff:127.0.0.1", 1), True),
        (("::ffff:192.0.2.7", 1), False),
        (("fe80::1%eth0", 1), False),
        (("0.0.0.0", 1), False),
        (("nonsense", 1), False),
        (("/run/portroom.sock", None), True),
        (None, True),
    ],
)
def test_loopback_is_where_a_request_came_in(local, is_local):
    """Whatever the client's headers say; a unix socket is this host, too."""
    assert is_local == guard.is_local(asked(local=local))


@pytest.mark.parametrize("target", [b"http://evil.example/", b"*", b"", b"/a\\..\\b"])
def test_a_target_is_a_path(target):
    """What a proxy is asked, or what is spelled to be taken for another, is refused."""
    assert 400 == status_of(asked()._replace(target=target))


def test_headers_have_a_size():
    """Before anything is made of them."""
    request = asked()._replace(header_bytes=guard.MOST_HEADER_BYTES + 1)

    assert 431 == status_of(request)
    assert 200 == status_of(asked()._replace(header_bytes=guard.MOST_HEADER_BYTES))
