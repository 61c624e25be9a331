"""GET /runbook: what to do about an alert or an incident."""

from aiohttp import web

from worker.console.runbook.document import runbook
from worker.console.web.rendering import page


async def show_runbook(request: web.Request) -> web.Response:
    document = runbook()
    sections = [heading for heading in document.headings if heading.level == 2]
    return page("runbook.html", request, {"document": document, "sections": sections})
