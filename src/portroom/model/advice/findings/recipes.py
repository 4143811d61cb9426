"""Recipes: software that is known by the name of its process, and its own setting.

Rules of this file:

- one row a way to keep connections open; what is not sure is not told;
- a name is what the process calls itself, at most 15 characters: a guess, and the
  finding says so. A program that is written in Go, or runs in a Java machine, has a
  name of its own, so that only those in the row are known;
- defaults of others change: a value is told, not what it was before.
"""

from __future__ import annotations

import msgspec


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """
    What to set where, for software that is recognised by its process.

    ``names`` are whole names, or how names begin where they end in ``*``.
    ``setting: value (where)`` is one sentence. ``protocol`` is whose sockets it is about.
    """

    name: str
    software: str
    names: tuple[str, ...]
    setting: str
    value: str
    where: str
    protocol: str = "tcp"


RECIPES = (
    Recipe(
        name="go",
        software="a Go program",
        names=(
            "kubelet",
            "kube-apiserver",
            "kube-controller",
            "kube-scheduler",
            "kube-proxy",
            "etcd",
            "coredns",
            "node-cache",
            "traefik",
            "caddy",
            "prometheus",
            "alertmanager",
            "telegraf",
            "containerd",
            "dockerd",
            "consul",
            "vault",
            "minio",
            "grafana*",
            "loki",
            "promtail",
        ),
        setting="http.Transport.MaxIdleConnsPerHost, and MaxIdleConns above it",
        value=(
            "at least as many as connections are open to one host at a time, as only 2 are kept "
            "unless the program says otherwise; a response is to be read to its end and closed"
        ),
        where="in the program's source, or the option that it makes of it; other Go programs alike",
    ),
    Recipe(
        name="python",
        software="Python",
        names=("python*", "gunicorn*", "uwsgi*", "celery*", "uvicorn*", "hypercorn*", "daphne"),
        setting="requests.Session, httpx.Client or a pool of the driver",
        value=(
            "one for the life of the process instead of requests.get() or connect() each time; "
            "Django keeps database connections with CONN_MAX_AGE above 0, Celery those to its "
            "broker with broker_pool_limit above 0, SQLAlchemy unless poolclass is NullPool"
        ),
        where="in the program's source or its settings module",
    ),
    Recipe(
        name="nginx",
        software="nginx",
        names=("nginx*", "openresty"),
        setting="keepalive N, with proxy_http_version 1.1 and an empty Connection header",
        value=(
            "N idle connections that each worker keeps: about the requests that a worker has open "
            'at a time; proxy_set_header Connection "" belongs to it'
        ),
        where="keepalive in the upstream block, the others in the location that has proxy_pass",
    ),
    Recipe(
        name="haproxy",
        software="HAProxy",
        names=("haproxy*",),
        setting="http-reuse, and source on server lines",
        value=(
            "http-reuse safe or always, and no option httpclose or http-server-close; for TCP, "
            "write each server several times, each with another source address"
        ),
        where="in the backend section",
    ),
    Recipe(
        name="envoy",
        software="Envoy",
        names=("envoy*", "pilot-agent"),
        setting="upstream_bind_config.socket_options, where upstream_bind_config is used",
        value=(
            "level 0, name 24 (IP_BIND_ADDRESS_NO_PORT), int_value 1, state STATE_PREBIND; in "
            "Istio, connectionPool.http.maxRequestsPerConnection is not to be 1, which switches "
            "keep-alive off"
        ),
        where="in the cluster; in Istio in an EnvoyFilter and in the DestinationRule",
    ),
    Recipe(
        name="pgbouncer",
        software="PgBouncer",
        names=("pgbouncer",),
        setting="min_pool_size and server_idle_timeout",
        value=(
            "min_pool_size up to default_pool_size keeps server connections open, and a "
            "server_idle_timeout or server_lifetime of a few seconds closes them all the time"
        ),
        where="in the section [pgbouncer] of pgbouncer.ini",
    ),
    Recipe(
        name="redis",
        software="a Redis client",
        names=("redis-benchmark", "redis-cli"),
        setting="one connection for many commands",
        value="redis-benchmark -k 1; redis-cli --pipe, or commands on its standard input",
        where="on the command line; programs hold one client or ConnectionPool for their life",
    ),
    Recipe(
        name="php",
        software="PHP",
        names=("php*", "apache2", "httpd"),
        setting="persistent connections",
        value=(
            "PDO::ATTR_PERSISTENT => true, Redis::pconnect(), 'persistent' => true in Predis, "
            "one curl handle for many requests"
        ),
        where="in the program's source; each worker of php-fpm or Apache then keeps its own",
    ),
    Recipe(
        name="node",
        software="Node.js",
        names=("node", "nodejs"),
        setting="http.Agent({ keepAlive: true }), and https.Agent alike",
        value="one agent for the life of the process, given to each request; likewise one pool",
        where="in the program's source",
    ),
    Recipe(
        name="java",
        software="Java",
        names=("java",),
        setting="one HttpClient, and one pool such as HikariCP or that of the Redis client",
        value=(
            "for the life of the process; http.maxConnections is how many idle connections a "
            "host keeps with HttpURLConnection"
        ),
        where="in the program's source; -Dhttp.maxConnections=N on the command line",
    ),
    Recipe(
        name="ruby",
        software="Ruby",
        names=("ruby*", "puma*", "unicorn*", "sidekiq*"),
        setting="Net::HTTP.start, or a persistent client",
        value="with one block around many requests instead of Net::HTTP.get each time",
        where="in the program's source",
    ),
    Recipe(
        name="postgres",
        software="PostgreSQL as a client",
        names=("postgres", "postmaster"),
        setting="keep_connections of postgres_fdw",
        value="on; and no dblink_connect() for each statement",
        where="an option of the foreign server",
    ),
    Recipe(
        name="sql_client",
        software="a database client",
        names=("psql", "mysql", "mariadb"),
        setting="one session for many statements",
        value="a script file or standard input instead of one call for each statement",
        where="in the script that calls it",
    ),
    Recipe(
        name="squid",
        software="Squid",
        names=("squid*",),
        setting="server_persistent_connections",
        value="on",
        where="in squid.conf",
    ),
    Recipe(
        name="varnish",
        software="Varnish",
        names=("varnishd", "cache-main"),
        setting="backend_idle_timeout",
        value="longer than the pause between two requests, and shorter than the backend's own",
        where="varnishd -p, or varnishadm param.set",
    ),
    Recipe(
        name="load_test",
        software="a load generator",
        names=("ab", "k6", "wrk", "wrk2", "hey", "locust", "vegeta", "siege", "jmeter"),
        setting="keep-alive, and more source addresses",
        value="ab -k; no noConnectionReuse in k6, whose --local-ips takes several addresses",
        where="on the command line; one address gives one range of ports to each destination",
    ),
    Recipe(
        name="resolver",
        software="a DNS resolver",
        names=("unbound", "named", "pdns_recursor", "dnsmasq", "systemd-resolve"),
        setting="nothing: each query has a port of its own on purpose, against forged answers",
        value="fewer queries help, through a longer cache or forwarding over one TCP connection",
        where="outgoing-range limits them in unbound",
        protocol="udp",
    ),
)
"""All recipes; the first that fits counts."""


def recipe_of(command: str, protocol: str = "tcp") -> Recipe | None:
    """
    Return the recipe for a process, by what it calls itself; None where none is known.

    >>> recipe_of("python3.11").name, recipe_of("nginx: worker").name, recipe_of("mine")
    ('python', 'nginx', None)
    """
    for recipe in RECIPES:
        if recipe.protocol == protocol and any(_fits(command, name) for name in recipe.names):
            return recipe
    return None


def _fits(command: str, name: str) -> bool:
    """Say whether a process is called so; a star at the end stands for anything."""
    if name.endswith("*"):
        return command.startswith(name[:-1])
    return command == name
