"""What the nodes tell each other by their database. All may raise SQLAlchemyError or OSError."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import delete, extract, func, literal, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.sql import Select

from agent.cluster.node import OVER, SILENT_S, Heartbeat, Node
from agent.records.database import NODE_LOST, Database, core
from agent.records.tables import Call, Delivery, HeldCall, Outgoing, Requests, Turn
from agent.records.tables import Node as Row

FORGOTTEN_DAYS = 1  # of a node that is over

_NODES = core(Row)
_NOW = func.clock_timestamp()


class Seen(NamedTuple):
    """What a heartbeat finds."""

    nodes: list[Node]
    was_lost: bool  # others took this node for dead since its last one
    twin: bool  # another process tells by the same name


class Store:
    def __init__(self, database: Database, *, posts: bool) -> None:
        """`posts`: records of calls are to be posted when they are closed."""
        self._database = database
        self._posts = posts
        self.name = database.node

    async def beat(self, instance: str, heartbeat: Heartbeat, *, first: bool) -> Seen:
        """Tell how this node is, and see how the others are."""
        told = {"name": self.name, "instance": instance, **asdict(heartbeat), "beat": _NOW}
        put = insert(_NODES).values(told)
        async with self._database.session() as session:
            mine = select(_NODES.c.instance, _NODES.c.state).where(_NODES.c.name == self.name)
            before = (await session.execute(mine.with_for_update())).first()
            await session.execute(put.on_conflict_do_update(index_elements=["name"], set_=told))
            age = extract("epoch", _NOW - _NODES.c.beat)
            rows = await session.execute(select(_NODES, age.label("age")).order_by(_NODES.c.name))
            nodes = [
                Node(
                    name=row.name,
                    silent_s=float(row.age),
                    **{one: getattr(row, one) for one in asdict(heartbeat)},
                )
                for row in rows
            ]
        ours = before is not None and before.instance == instance
        return Seen(
            nodes,
            was_lost=not first and (before is None or before.state == "lost"),
            twin=not first and not ours and before is not None and before.state not in OVER,
        )

    async def leave(self, instance: str) -> None:
        """This node ends, and has no calls any more."""
        async with self._database.session() as session:
            mine = (_NODES.c.name == self.name) & (_NODES.c.instance == instance)
            await session.execute(update(_NODES).where(mine).values(state="down", calls=0, beat=_NOW))

    async def bury(self, name: str) -> list[str]:
        """Close the calls of a node that is silent, and take over what it has to post.

        Of one that is down, too: it may not have come to either. Returns the calls' ids. Whoever comes
        first does it.
        """
        silent = _NODES.c.beat < _NOW - timedelta(seconds=SILENT_S)
        dead = select(_NODES.c.beat, _NODES.c.state).where(
            _NODES.c.name == name, _NODES.c.state != "lost", silent
        )
        last = select(func.max(Turn.at)).where(Turn.call_id == Call.id).scalar_subquery()
        async with self._database.session() as session:
            found = (await session.execute(dead.with_for_update(skip_locked=True))).first()
            if found is None:
                return []
            if found.state != "down":
                lost = update(_NODES).where(_NODES.c.name == name).values(state="lost", calls=0)
                await session.execute(lost)
            closed = await session.scalars(
                update(Call)
                .where(Call.node == name, Call.ended.is_(None))
                .values(ended=func.greatest(Call.began, last, found.beat), cause=NODE_LOST)
                .returning(Call.id)
            )
            ids = list(closed)
            outgoing = update(Outgoing).where(Outgoing.node == name, Outgoing.ended.is_(None))
            await session.execute(outgoing.values(ended=func.greatest(Outgoing.begun, found.beat)))
            await session.execute(delete(HeldCall).where(HeldCall.node == name))
            await session.execute(update(Delivery).where(Delivery.node == name).values(node=self.name))
            if self._posts and ids:
                await session.execute(self._to_be_posted(ids))
        return ids

    def _to_be_posted(self, ids: Sequence[str]) -> Insert:
        of_calls: Select[tuple[str, str, object, object, int]] = select(
            Call.id, literal(self.name), _NOW, _NOW, literal(0)
        ).where(Call.id.in_(ids))
        columns = ["call_id", "node", "since", "due", "tries"]
        return insert(core(Delivery)).from_select(columns, of_calls).on_conflict_do_nothing()

    async def closed_by_others(self) -> list[str]:
        """Calls of this node's that another one has closed."""
        theirs = (Call.node == self.name) & (Call.cause == NODE_LOST)
        lately = Call.ended > _NOW - timedelta(days=FORGOTTEN_DAYS)
        async with self._database.session() as session:
            return list(await session.scalars(select(Call.id).where(theirs & lately)))

    async def reopen(self, ids: Sequence[str]) -> None:
        """These go on."""
        async with self._database.session() as session:
            gone_on = Call.id.in_(ids) & (Call.cause == NODE_LOST)
            await session.execute(update(Call).where(gone_on).values(ended=None, cause=None))
            await session.execute(delete(Delivery).where(Delivery.call_id.in_(ids)))

    async def forget(self) -> None:
        """Those that are over for long, and what no limit counts any more."""
        long_ago = _NODES.c.beat < _NOW - timedelta(days=FORGOTTEN_DAYS)
        async with self._database.session() as session:
            await session.execute(delete(_NODES).where(_NODES.c.state.in_(OVER), long_ago))
            await session.execute(delete(Outgoing).where(Outgoing.ended < _NOW - timedelta(days=1)))
            await session.execute(delete(Requests).where(Requests.at < _NOW - timedelta(days=1)))

    async def has(self, id: str) -> tuple[str, bool] | None:
        """The node that has the call, or had it, and whether it is live."""
        async with self._database.session() as session:
            found = (await session.execute(select(Call.node, Call.ended).where(Call.id == id))).first()
        return (found.node, found.ended is None) if found else None
