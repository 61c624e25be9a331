"""/dead-letters/work: replays and discards of this console, and how far each of them is."""

from collections import Counter
from typing import Final

from aiohttp import web

from worker.console.letters.list_page import PATH
from worker.console.letters.works import MOST_WATCHED, Kind, Phase, Work, Works
from worker.console.web.query import Query, number, one_of
from worker.console.web.rendering import page
from worker.dead_letters.kinds import ReplayStatus
from worker.dead_letters.replays.planning import MAX_REPLAYS

_PAGE: Final = 100


class WorkPage:
    def __init__(self, works: Works) -> None:
        self._works = works

    async def list(self, request: web.Request) -> web.Response:
        """GET /dead-letters/work"""
        return page("letters_works.html", request, {"works": self._works.recent()})

    async def show(self, request: web.Request) -> web.Response:
        """GET /dead-letters/work/ID"""
        work, query = self._work(request), Query(request.query)
        became = query.parsed("became", one_of(ReplayStatus))
        after = query.parsed("after", number) or 0
        results = sorted(work.results.values(), key=lambda result: result.letter_id)
        wanted = [each for each in results if became in (None, each.became)]
        listed = [each for each in wanted if each.letter_id > after]
        counts = Counter(result.became for result in results)
        values = {
            "work": work,
            "problems": query.problems,
            "became": became,
            "statuses": list(ReplayStatus),
            "counts": counts,
            "open": work.watched - len(results),
            "results": listed[:_PAGE],
            "next": listed[_PAGE - 1].letter_id if len(listed) > _PAGE else None,
            "is_first": not after,
            "most_watched": MOST_WATCHED,
            "max_replays": MAX_REPLAYS,
            "Kind": Kind,
            "Phase": Phase,
        }
        return page("letters_work.html", request, values)

    async def stop(self, request: web.Request) -> web.StreamResponse:
        """POST /dead-letters/work/ID/stop"""
        work = self._work(request)
        work.stop.set()
        raise web.HTTPSeeOther(f"{PATH}/work/{work.work_id}")

    def _work(self, request: web.Request) -> Work:
        work = self._works.find(request.match_info["work"])
        if work is None:
            raise web.HTTPNotFound(
                text="This console does not know of that work: it was restarted since, or has done "
                "much else. The audit tells what was done to which letter."
            )
        return work
