"""The guard: who may ask the daemon, decided before anything else is done with a request.

Rules of this file:

- pure: a request as a value in, a refusal or None out;
- what a page of another site can make a browser send is refused: names that were
  rebound to this host by the Host header, requests from elsewhere by Origin and
  Sec-Fetch-Site;
- a rule is a row of RULES, and the first that refuses decides.

Source: RFC 9110, 7.4 and 15.5.20 (421); RFC 6454 (Origin); W3C, Fetch Metadata Request
Headers.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs

from portroom.daemon.endpoints import FOR_MONITORS, PATHS
from portroom.model.facts.watched_answers import Problem

METHODS = ("GET", "HEAD")

VERSIONS = ("1.0", "1.1")

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

MOST_HEADER_BYTES = 16 << 10
"""Of the request line and all headers."""

HTTP_PORT = 80
"""What a Host header without a port means."""

COOKIE = "portroom_token"

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""What every response carries."""

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII)


class Place(NamedTuple):
    """A host, an IPv6 address without brackets, and a port; None where none is named."""

    host: str
    port: int | None


class Asked(NamedTuple):
    """
    A request, as far as it decides who may ask.

    ``headers`` are by their names in small letters, ``local`` is the address and port of
    this host that it came to, None where it came through a unix socket.
    """

    method: str
    path: str
    target: bytes
    query: bytes
    headers: Mapping[str, Sequence[str]]
    header_bytes: int
    local: tuple[str, int | None] | None
    version: str = "1.1"

    def one(self, name: str) -> str | None:
        """Return the header of a name; None where it is not there just once."""
        found = self.headers.get(name, ())
        return found[0] if len(found) == 1 else None


class Allowed(NamedTuple):
    """
    Who may ask.

    Args:
        hosts: Names by which the daemon may be asked beside the local ones, as in the
            configuration: ``NAME``, or ``NAME:PORT`` for another port than its own.
        own_names: Names of this host, good for what monitors ask.
        token: What must be shown at any address but loopback; None lets nobody in there.
        open_metrics: Whether monitors need no token for metrics.
    """

    hosts: tuple[str, ...] = ()
    own_names: tuple[str, ...] = ()
    token: str | None = None
    open_metrics: bool = True


class Refusal(NamedTuple):
    """A request that is refused: what it is told, and headers that go with it."""

    problem: Problem
    headers: tuple[tuple[str, str], ...] = ()


def refusal(asked: Asked, allowed: Allowed) -> Refusal | None:
    """
    Return why a request is refused; None where it may be answered.

    Args:
        asked: The request.
        allowed: Who may ask.
    """
    found = (rule(asked, allowed) for rule in RULES)
    return next((one for one in found if one is not None), None)


def _problem(
    status: int, message: str, hint: str = "", headers: tuple[tuple[str, str], ...] = ()
) -> Refusal:
    """Return a refusal with these words."""
    return Refusal(Problem(status=status, message=message, hint=hint), headers)


def _by_size(asked: Asked, _: Allowed) -> Refusal | None:
    """Refuse headers that are too large."""
    if asked.header_bytes <= MOST_HEADER_BYTES:
        return None
    return _problem(
        431, f"The headers have {asked.header_bytes} bytes; {MOST_HEADER_BYTES} are read."
    )


def _by_host(asked: Asked, allowed: Allowed) -> Refusal | None:
    """Refuse a request to a name that is not known to be this daemon's."""
    named = asked.one("host")
    place = None if named is None else parse_authority(named)
    if place is not None and _is_ours(place, asked, allowed):
        return None
    return _problem(
        421,
        f"This daemon does not answer to the host {(named or '')[:100]!r}.",
        "Ask localhost with the port that it listens on, or add the name to serve.hosts.",
    )


def _is_ours(place: Place, asked: Asked, allowed: Allowed) -> bool:
    """Say whether a host that was named, and its port, are this daemon's."""
    own_port = asked.local[1] if asked.local else None
    host = place.host
    port = HTTP_PORT if place.port is None else place.port
    if any(_is_named(one, host, port, own_port) for one in map(_configured, allowed.hosts)):
        return True
    if own_port is not None and port != own_port:
        return False
    if host in LOCAL_NAMES:
        return True
    if is_local(asked) or asked.path not in FOR_MONITORS:
        return False
    return host in allowed.own_names or is_address(host)


def _configured(name: str) -> Place | None:
    """Return the host and port of a name in the configuration; brackets may be left out."""
    return Place(name.lower(), None) if is_address(name) else parse_authority(name)


def _is_named(one: Place | None, host: str, port: int, own_port: int | None) -> bool:
    """Say whether a configured name is what was asked; without a port it has the daemon's."""
    if one is None or one.host != host:
        return False
    wanted = own_port if one.port is None else one.port
    return wanted is None or port == wanted


def _by_form(asked: Asked, _: Allowed) -> Refusal | None:
    """Refuse another HTTP, what asks a proxy, and a path that is taken for another."""
    if asked.version not in VERSIONS:
        return _problem(400, f"HTTP/{asked.version[:9]} is not spoken here, but HTTP/1.1 is.")
    if {"content-length", "transfer-encoding"} <= asked.headers.keys():
        # Who stands in between may have taken another end of it for the right one.
        closing = (("connection", "close"),)
        return _problem(400, "The request names two lengths of its body.", headers=closing)
    if asked.target.startswith(b"/") and b"\\" not in asked.target:
        return None
    return _problem(400, "The request does not name a path that begins with a slash.")


def _by_method(asked: Asked, _: Allowed) -> Refusal | None:
    """Refuse what would write: there is nothing that can be written here."""
    if asked.method in METHODS:
        return None
    methods = " and ".join(METHODS)
    return _problem(
        405,
        f"{asked.method[:20]!r} is not answered: this daemon only reads, by {methods}.",
        "To change a setting, use `portroom set` on the host.",
        (("allow", ", ".join(METHODS)),),
    )


def _by_origin(asked: Asked, _: Allowed) -> Refusal | None:
    """Refuse what a page of another origin asks for."""
    if _is_own_origin(asked) and _is_own_site(asked):
        return None
    return _problem(403, "A page of another site asks; only pages of this daemon are answered.")


def _is_own_origin(asked: Asked) -> bool:
    """Say whether the origin, where there is one, is what the Host header names."""
    if "origin" not in asked.headers:
        return True
    scheme, _, authority = (asked.one("origin") or "").partition("://")
    return scheme in {"http", "https"} and authority.lower() == (asked.one("host") or "").lower()


def _is_own_site(asked: Asked) -> bool:
    """
    Say whether the browser, where one tells, asks for itself or for a page of ours.

    A link that a person follows leads to a page, from wherever it may be: the page that
    has the link does not see it.
    """
    if "sec-fetch-site" not in asked.headers:
        return True
    if asked.one("sec-fetch-site") in {"same-origin", "none"}:
        return True
    mode, kind = asked.one("sec-fetch-mode"), asked.one("sec-fetch-dest")
    return (mode, kind) == ("navigate", "document") and asked.method == "GET"


def _by_token(asked: Asked, allowed: Allowed) -> Refusal | None:
    """Refuse who shows no token, where the request did not come over loopback."""
    if is_local(asked) or _needs_no_token(asked, allowed) or shows_token(asked, allowed.token):
        return None
    return _problem(
        401,
        "This address is answered with the token only.",
        "Send `Authorization: Bearer TOKEN`, or open /?token=TOKEN in a browser once.",
        (("www-authenticate", 'Bearer realm="portroom"'),),
    )


def _needs_no_token(asked: Asked, allowed: Allowed) -> bool:
    """Say whether monitors may ask this without a token: it tells of no address."""
    return asked.path in FOR_MONITORS and (allowed.open_metrics or asked.path != PATHS.metrics)


def shows_token(asked: Asked, token: str | None) -> bool:
    """
    Say whether a request shows the token, as a bearer or in the cookie.

    Args:
        asked: The request.
        token: What it has to be; None fits nothing.
    """
    shown = (_bearer(asked.one("authorization") or ""), *_cookies(asked), *query_token(asked))
    return any(is_token(one, token) for one in shown)


def is_token(shown: str, token: str | None) -> bool:
    """
    Say whether a text is the token, in a time that tells nothing of it.

    >>> is_token("a", "a"), is_token("a", "b"), is_token("", ""), is_token("", None)
    (True, False, False, False)
    """
    if not token:
        return False
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), token.encode())


def _bearer(authorization: str) -> str:
    """Return the token of an Authorization header, "" where it has none."""
    scheme, _, shown = authorization.partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else ""


def _cookies(asked: Asked) -> list[str]:
    """Return what a browser was given as its token."""
    pairs = (part.strip().partition("=") for part in (asked.one("cookie") or "").split(";"))
    return [value for name, _, value in pairs if name == COOKIE]


def query_token(asked: Asked) -> list[str]:
    """Return the token in the address of the page, where a person opened it with one."""
    if asked.path != PATHS.page:
        return []
    return parse_qs(asked.query.decode("latin-1")).get("token", [])


def is_local(asked: Asked) -> bool:
    """Say whether a request came over loopback or a unix socket."""
    if asked.local is None or asked.local[1] is None:
        return True
    try:
        address = ipaddress.ip_address(asked.local[0].partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_address(host: str) -> bool:
    """
    Say whether a host is an IP address: no name server can make it another one.

    >>> is_address("10.0.0.1"), is_address("fe80::1"), is_address("evil.example")
    (True, True, False)
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_authority(text: str) -> Place | None:
    """
    Return the host and port that a Host header names; None where it names nothing.

    >>> parse_authority("LocalHost:9765"), parse_authority("[::1]"), parse_authority("a@b")
    (Place(host='localhost', port=9765), Place(host='::1', port=None), None)
    """
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None:
        return None
    host = match[1].strip("[]")
    if match[1].startswith("[") and not is_address(host):
        return None
    return Place(host, int(match[2]) if match[2] else None)


RULES: tuple[Callable[[Asked, Allowed], Refusal | None], ...] = (
    _by_size,
    _by_form,
    _by_host,
    _by_method,
    _by_origin,
    _by_token,
)
"""In the order in which they are asked."""
