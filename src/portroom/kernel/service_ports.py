"""Service ports: those that installed units listen on, started or not.

Rules of this file:

- a socket unit says its ports itself;
- a service unit is known to listen by its name alone: ``/etc/services`` has a
  service of that name or alias, or the table below says which it is;
- whether a unit ever starts is not asked: what is installed may start.

Source: systemd.socket(5), services(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from portroom.kernel.files import read_below
from portroom.kernel.units import Units, is_installed, read_units, values_of
from portroom.model.facts.ports import LAST_PORT
from portroom.model.facts.surroundings import ServicePort
from portroom.model.facts.sysctl_files import shown

SERVICES = (b"/etc/services", b"/usr/etc/services")
"""The first that is there counts; the second is where image-based systems ship it."""

LARGEST_SERVICES_BYTES = 4 << 20
"""Six times the list of all registered services."""

LINE = re.compile(rb"^([^\s#]+)[ \t]+(\d{1,5})/(tcp|udp)\b([^#\n]*)", re.MULTILINE)

LISTEN = {b"ListenStream": "tcp", b"ListenDatagram": "udp"}

ADDRESS = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]:|[0-9.]+:)?(\d{1,5})(?:%[^\s/%]+)?")
"""A port, ``1.2.3.4:port`` or ``[::1]:port``, perhaps with a device behind it."""

OTHER_NAMES = {
    "bind9": ("domain",),
    "freeradius": ("radius", "radius-acct"),
    "mariadb": ("mysql",),
    "mysqld": ("mysql",),
    "nagios-nrpe-server": ("nrpe",),
    "named": ("domain",),
    "nfs-server": ("nfs",),
    "ntpd": ("ntp",),
    "openvpn-server": ("openvpn",),
    "rabbitmq-server": ("amqp", "epmd"),
    "radiusd": ("radius", "radius-acct"),
    "redis-server": ("redis",),
    "slapd": ("ldap", "ldaps"),
    "sshd": ("ssh",),
    "xrdp": ("ms-wbt-server",),
    "zabbix-agent2": ("zabbix-agent",),
    "zabbix-server": ("zabbix-trapper",),
}
"""Units whose service has another name in ``/etc/services``."""


class Service(NamedTuple):
    """A line of ``/etc/services``: its name, aliases, port and protocol."""

    names: tuple[str, ...]
    port: int
    protocol: str


def read_service_ports(root: bytes) -> tuple[ServicePort, ...]:
    """
    Return the ports of installed units, each port once, ascending.

    Raises:
        OSError: A folder of units is there and may not be listed.
    """
    services = _read_services(root)
    units = read_units(root)
    found: dict[tuple[int, str], ServicePort] = {}
    for one in (*_socket_ports(units, services), *_service_ports(units, services)):
        found.setdefault((one.port, one.protocol), one)
    return tuple(found[key] for key in sorted(found))


def _read_services(root: bytes) -> list[Service]:
    """Return what the first file of services that is there tells."""
    texts = (read_below(root, path, LARGEST_SERVICES_BYTES).content for path in SERVICES)
    return parse_services(next(filter(None, texts), b""))


def parse_services(text: bytes) -> list[Service]:
    r"""
    Return the services of TCP and UDP in ``/etc/services``.

    >>> parse_services(b"# no\nhttp-alt\t8080/tcp\twebcache # www\n")
    [Service(names=('http-alt', 'webcache'), port=8080, protocol='tcp')]
    """
    return [
        Service((shown(name), *map(shown, rest.split())), int(port), shown(protocol))
        for name, port, protocol, rest in LINE.findall(text)
        if 1 <= int(port) <= LAST_PORT
    ]


def _socket_ports(units: Units, services: list[Service]) -> Iterator[ServicePort]:
    """Yield the ports that socket units name."""
    names = {(one.port, one.protocol): one.names[0] for one in reversed(services)}
    for unit in units.ending(b".socket"):
        for protocol, port in _listens(units, unit):
            name = names.get((port, protocol)) or _stem(unit)
            yield ServicePort(protocol, port, name, shown(unit))


def _listens(units: Units, unit: bytes) -> list[tuple[str, int]]:
    """Return protocol and port of all that one socket unit listens on."""
    found: list[tuple[str, int]] = []
    instance = unit.rpartition(b".")[0].partition(b"@")[2]
    for key, value in values_of(units, unit, b"Socket"):
        if key.startswith(b"Listen") and not value:
            # An empty value takes back all that stands before.
            found = []
        elif protocol := LISTEN.get(key):
            text = value.replace(b"%i", instance).replace(b"%I", instance)
            port = listened_port(text)
            found += [] if port is None else [(protocol, port)]
    return found


def listened_port(text: bytes) -> int | None:
    """
    Return the port that a value of ListenStream= names, None for a path or another family.

    >>> listened_port(b"[::1]:8080"), listened_port(b"9090"), listened_port(b"/run/a.socket")
    (8080, 9090, None)
    """
    found = ADDRESS.fullmatch(text)
    port = int(found[1]) if found else 0
    return port if 1 <= port <= LAST_PORT else None


def _service_ports(units: Units, services: list[Service]) -> Iterator[ServicePort]:
    """Yield the ports of services whose name is that of a service unit."""
    by_name: dict[str, list[Service]] = {}
    for service in services:
        for name in service.names:
            by_name.setdefault(name, []).append(service)
    for unit in units.ending(b".service"):
        stem = _stem(unit)
        found = [
            one for name in (stem, *OTHER_NAMES.get(stem, ())) for one in by_name.get(name, ())
        ]
        if found and is_installed(units, unit):
            for one in found:
                yield ServicePort(one.protocol, one.port, one.names[0], shown(unit))


def _stem(unit: bytes) -> str:
    """
    Return the name of a unit without its kind and instance.

    >>> _stem(b"postgresql@15-main.service")
    'postgresql'
    """
    return shown(unit).rpartition(".")[0].partition("@")[0]
