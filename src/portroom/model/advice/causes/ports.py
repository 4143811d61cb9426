"""Local ports run out for connect(): by the destination's own connections, or for all."""

from __future__ import annotations

from portroom.model.advice.causes.pools import (
    Pool,
    connect_keys,
    connect_pools,
    new_pool,
    no_search,
    routed_keys,
    unread,
)
from portroom.model.advice.causes.ports_advice import (
    BIND_LATER,
    UNBLOCK_FIRST,
    ask_the_kernel,
    holders,
    more_room,
    name_it,
    name_source,
    settle,
    watch,
)
from portroom.model.advice.causes.ports_seen import (
    blocked,
    both_doubt,
    doubt,
    from_another,
    held_by_own,
    nearly,
    not_blocked,
    not_by_own,
)
from portroom.model.advice.causes.table import (
    NOT_AVAILABLE,
    Advice,
    Figures,
    found,
    possible,
    ruled_out,
    unknown,
)
from portroom.model.advice.causes.words import command, gap_words
from portroom.model.facts.explanation import RULED_OUT, Cause, ExplainQuestion
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Scene
from portroom.model.facts.sockets import Protocol
from portroom.model.laws.headroom import SPARE_PORTS

KEY_FULL, PORTS_BLOCKED = "key_full", "ports_blocked"


def key_full(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether the connections to one destination hold every port themselves."""
    if asked.protocol is Protocol.UDP:
        return None
    if early := _undecided(KEY_FULL, asked, scene):
        return early
    pools = connect_pools(scene, routed_keys(asked, scene))
    if not pools:
        return _no_key(KEY_FULL, asked, scene)
    cause = _full(pools[0], asked, scene)
    if cause.verdict == RULED_OUT:
        return _from_another(pools[0], asked, scene) or cause
    return cause


def _from_another(pool: Pool, asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """
    Return the verdict about local addresses that the route does not give, None for no word.

    Only a program that binds one of them goes from there.
    """
    others = routed_keys(asked, scene)
    for one in connect_pools(scene, [key for key in connect_keys(scene) if key not in others]):
        if one.key and pool.key and one.exhausted and one.counts(one.own_alone):
            text = from_another(pool, pool.key, one, one.key)
            advice = name_source(asked, one.key, scene)
            return possible(KEY_FULL, text, advice, _figures(one))
    return None


def _full(pool: Pool, asked: ExplainQuestion, scene: Scene) -> Cause:
    """Return the verdict about a destination's own connections."""
    key, figures = pool.key, _figures(pool)
    assert key is not None
    if pool.exhausted and pool.counts(pool.own_alone):
        return found(KEY_FULL, held_by_own(pool, key), more_room(key, scene), figures)
    if pool.exhausted and pool.counts(pool.own) and asked.remote is not None:
        advice = Advice(UNBLOCK_FIRST, holders(scene))
        return found(KEY_FULL, held_by_own(pool, key), advice, figures)
    if pool.maybe_exhausted and pool.counts(pool.own_alone + pool.own_doubtful):
        text = f"{held_by_own(pool, key)} {doubt(pool, scene)}"
        return possible(KEY_FULL, text, settle(key, scene), figures)
    if asked.error and pool.near_full and pool.counts(pool.own_alone):
        return possible(KEY_FULL, nearly(pool, key), watch(), figures)
    return ruled_out(KEY_FULL, not_by_own(pool, key), figures)


def ports_blocked(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether ports are out for every destination, whoever is connected where."""
    if asked.protocol is Protocol.UDP:
        return None
    if early := _undecided(PORTS_BLOCKED, asked, scene):
        return early
    pool = _for_all(asked, scene)
    return _blocked(pool, asked, scene) if pool else _no_key(PORTS_BLOCKED, asked, scene)


def _blocked(pool: Pool, asked: ExplainQuestion, scene: Scene) -> Cause:
    """Return the verdict about what keeps ports from everybody."""
    figures = _figures(pool)
    if pool.exhausted and pool.counts(pool.blocked):
        advice = Advice(BIND_LATER, holders(scene))
        return found(PORTS_BLOCKED, blocked(pool, scene), advice, figures)
    if pool.exhausted and pool.shared < SPARE_PORTS and pool.counts(pool.both_doubtful):
        advice = ask_the_kernel(asked, scene)
        return possible(PORTS_BLOCKED, both_doubt(pool), advice, figures)
    if pool.maybe_exhausted and pool.counts(pool.blocked + pool.blocked_doubtful):
        text = f"{blocked(pool, scene)} {doubt(pool, scene)}"
        advice = settle(pool.key, scene) if pool.key else name_it(asked, scene)
        return possible(PORTS_BLOCKED, text, advice, figures)
    if asked.error and pool.near_full and pool.counts(pool.blocked):
        return possible(PORTS_BLOCKED, blocked(pool, scene), watch(), figures)
    return ruled_out(PORTS_BLOCKED, not_blocked(pool), figures)


def _for_all(asked: ExplainQuestion, scene: Scene) -> Pool | None:
    """Return the pool to judge: the destination's, else that of one nobody is connected to."""
    pools = connect_pools(scene, routed_keys(asked, scene)[:1])
    if asked.remote is not None:
        return pools[0] if pools else None
    fresh = new_pool(scene)
    if fresh is None or not pools:
        return fresh
    # A tie goes to the destination that exists: it can be named, and probed.
    return min(pools[0], fresh, key=lambda pool: (-pool.blocked, -pool.blocked_doubtful))


def _undecided(name: str, asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Return the verdict where no search for a port takes place, or none can be judged."""
    if reason := no_search(asked, scene):
        return ruled_out(name, reason)
    gap = unread(scene)
    if gap is not None:
        text = f"The sockets and settings could not be read ({gap.source}): {gap_words(gap)}."
        return unknown(name, text)
    return None


def _no_key(name: str, asked: ExplainQuestion, scene: Scene) -> Cause:
    """Return the verdict where there is no destination to judge."""
    if asked.remote is None:
        return ruled_out(name, "Nothing here is connected to any destination.")
    reason = gap_words(scene.reached) if isinstance(scene.reached, Gap) else "no route told it"
    return unknown(
        name,
        f"From which local address a connection to {asked.remote} goes is not known: {reason}.",
        command(scene, "explain", NOT_AVAILABLE, "--remote", asked.remote, "--from", "ADDRESS"),
    )


def _figures(pool: Pool) -> Figures:
    """Return the figures of a pool."""
    states = pool.key.states if pool.key else {}
    return {
        "eligible_ports": pool.eligible,
        "own_ports": pool.own,
        "blocked_ports": pool.blocked,
        "own_blocked_ports": pool.both,
        "doubtful_ports": pool.in_doubt,
        "free_ports": pool.free,
        **{f"{state.lower()}_sockets": sockets for state, sockets in states.items()},
    }
