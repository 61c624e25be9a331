"""100,000 dead letters: looked at, and sent out again."""

import sys
from pathlib import Path
from time import perf_counter

from shared.amqp.keys import CANCEL_KEY
from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.states import DeadReason
from tools.bench import raw
from tools.bench.measures.accepts import PUBLISH
from tools.bench.output.results import Bar, Results, compared
from tools.bench.programs import result_of
from tools.bench.system import BenchSystem
from worker.dead_letters import store as letter_store
from worker.dead_letters.wanted import Filter

COMMAND = Path(raw.__file__).with_name("list_letters.py")

_LETTERS = 100_000
_REPLAYED = 20_000
"""Of them, in each round: those that are dead for one reason."""
_PAGE = 100
_IN_FLIGHT = 64
_SECONDS = 3

_FILL = """
    INSERT INTO dead_letters
           (letter_key, digest, reason, error, attempts, first_failed_at, last_failed_at,
            exchange, routing_key, via, publisher, command_id, run_id, requested_by, body,
            message_id, type, app_id, content_type)
    SELECT md5(n::text), decode(md5(n::text), 'hex'), ($2::text[])[1 + n % cardinality($2)],
           'run ' || n || ' is unknown', 4, now(), now(), '', 'run.cancel', 'rest', 'gateway',
           id, n, 'bench',
           convert_to(json_build_object('command_id', id, 'run_id', n, 'reason',
               'superseded by a newer commit', 'requested_by', 'bench')::text, 'UTF8'),
           id::text, 'ci.run.cancel.v1', 'cancel-gateway', 'application/json'
      FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, $1::int) n) AS made
"""
_TAKEN = """
    SELECT extract(epoch FROM max(done_at) - min(done_at))::float8
      FROM dead_letter_actions JOIN dead_letters USING (letter_id)
     WHERE reason = $1
"""


class Letters:
    def __init__(
        self, system: BenchSystem, letters: int = _LETTERS, replayed: int = _REPLAYED
    ) -> None:
        self._system = system
        self._letters = letters
        self._replayed = replayed

    async def measure(self, results: Results, rounds: int) -> None:
        reasons = list(DeadReason)[: self._letters // self._replayed]
        await self._system.database.execute(_FILL, self._letters, reasons)
        await self._system.database.execute("VACUUM ANALYZE dead_letters")
        commands, queries, whole, replays, floor = [], [], [], [], []
        for reason in reasons[:rounds]:
            began = perf_counter()
            commands.append((await self._command())["command_ms"])
            whole.append((perf_counter() - began) * 1000)
            queries.append(await self._query())
            replays.append(await self._replay(reason))
            await self._system.purge()
            floor.append(await self._raw())
            await self._system.purge()
        self._report(results, commands, queries, whole, replays, floor)

    def _report(
        self,
        results: Results,
        commands: list[float],
        queries: list[float],
        whole: list[float],
        replays: list[float],
        floor: list[float],
    ) -> None:
        page = f"first page of {self._letters:,} dead letters"
        results.rows += [
            compared(
                "letters_list",
                f"{page}, the command without Python's start and imports",
                "ms",
                Bar(at_most=100),
                commands,
                note="connects, checks the schema, asks, prints",
            ),
            compared("letters_query", f"{page}, the query", "ms", Bar(), queries),
            compared(
                "letters_whole", f"{page}, with Python's start and imports", "ms", Bar(), whole
            ),
            compared(
                "letters_replay",
                "dead letters replayed",
                "/s",
                Bar(at_least=0.7),
                replays,
                f"raw confirmed publish, {_IN_FLIGHT} in flight",
                floor,
                f"{self._replayed:,} of {self._letters:,} in each round, first to last mark",
            ),
        ]

    async def _command(self) -> dict[str, float]:
        result: dict[str, float] = await self._system.script(sys.executable, COMMAND, _PAGE)
        return result

    async def _query(self) -> float:
        settings = DatabaseSettings.model_validate({"DATABASE_URL": self._system.database_url})
        async with connected(settings) as database:
            await letter_store.find(database, Filter(), 1)  # prepares the statement's like
            began = perf_counter()
            assert len(await letter_store.find(database, Filter(), _PAGE)) == _PAGE
            return (perf_counter() - began) * 1000

    async def _replay(self, reason: str) -> float:
        words = ("worker", "dead-letters", "replay", "--all", "--reason", reason, "--json")
        done = await result_of(sys.executable, "-m", *words, env=self._system.environment)
        assert done["replayed"] == self._replayed, done
        seconds = await self._system.database.fetchval(_TAKEN, reason)
        return float(self._replayed / seconds)

    async def _raw(self) -> float:
        result = await self._system.script(
            sys.executable,
            PUBLISH,
            self._system.topology.commands,
            CANCEL_KEY,
            *("closed", _SECONDS, _IN_FLIGHT),
        )
        return float(result["per_second"])
