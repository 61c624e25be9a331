"""Puts the pages about dead letters together."""

from aiohttp import web

from shared.amqp.publisher import Publisher
from shared.postgres.database import Database
from worker.console.letters.edit_page import EditPage
from worker.console.letters.letter_page import LetterPage
from worker.console.letters.list_page import PATH, ListPage
from worker.console.letters.plan_page import PlanPage
from worker.console.letters.work_page import WorkPage
from worker.console.letters.works import Kind, Works


def add_letters(
    app: web.Application, database: Database, publisher: Publisher, works: Works
) -> None:
    letter = f"{PATH}/{{id:[0-9]+}}"
    work = f"{PATH}/work/{{work:[0-9a-f]+}}"
    shown, edit, progress = (
        LetterPage(database),
        EditPage(database, publisher, works),
        WorkPage(works),
    )
    app.router.add_get(PATH, ListPage(database).handle)
    app.router.add_get(letter, shown.handle)
    app.router.add_get(f"{letter}/body", shown.download)
    app.router.add_get(f"{letter}/edit", edit.show)
    app.router.add_post(f"{letter}/edit", edit.save)
    app.router.add_post(f"{letter}/check", edit.check)
    for kind in (Kind.REPLAY, Kind.DISCARD):
        plan = PlanPage(database, publisher, works, kind)
        app.router.add_get(f"{PATH}/{kind}", plan.show)
        app.router.add_post(f"{PATH}/{kind}", plan.begin)
    app.router.add_get(f"{PATH}/work", progress.list)
    app.router.add_get(work, progress.show)
    app.router.add_post(f"{work}/stop", progress.stop)
