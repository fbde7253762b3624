"""Spending charges that belong to no decision: those of one turn in one statement, each all or none."""

from __future__ import annotations

from collections.abc import Sequence

from push_service.model.errors import TooManyRequests
from push_service.model.instant import MICROSECONDS
from push_service.model.throttle import Charge
from push_service.store.postgres.batching import Batcher
from push_service.store.postgres.connections import Connections, fetch

_SPEND = "SELECT owner, wait FROM spend($1::text[], $2::text[], $3::bigint[], $4::bigint[])"
_LARGEST_BATCH = 64
_LANES = 1


class Throttling:
    """All debits of this process."""

    def __init__(self, connections: Connections) -> None:
        """Spend over these connections."""
        self._connections = connections
        self._batcher: Batcher[Sequence[Charge], float | None] = Batcher(
            self._spend, largest=_LARGEST_BATCH, lanes=_LANES
        )

    @property
    def outstanding(self) -> int:
        """How many debits are queued or under way."""
        return self._batcher.outstanding

    async def debit(self, charges: Sequence[Charge]) -> None:
        """See ports.Store."""
        if charges and (seconds := await self._batcher.ask(charges)) is not None:
            raise TooManyRequests(retry_after=seconds)

    async def close(self) -> None:
        """Finish what was asked for."""
        await self._batcher.close()

    async def _spend(self, asked: Sequence[Sequence[Charge]]) -> list[float | None]:
        """The seconds to wait for each that is refused."""
        owners = [str(n) for n, charges in enumerate(asked) for _ in charges]
        keys, costs, bursts = [], [], []
        for charge in (charge for charges in asked for charge in charges):
            keys.append(charge.key)
            costs.append(charge.cost)
            bursts.append(charge.burst)
        found = await self._connections.use(lambda connection: fetch(connection, _SPEND, owners, keys, costs, bursts))
        waits: dict[str, int] = {row[0]: row[1] for row in found}
        return [waits[str(n)] / MICROSECONDS if str(n) in waits else None for n in range(len(asked))]
