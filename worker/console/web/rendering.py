"""Pages from templates. Every value is escaped; `visible` also shows what would be invisible."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp_jinja2
import jinja2
from aiohttp import web
from markupsafe import Markup

from shared.text.printable import printable, printable_lines
from shared.text.times import readable_time
from worker.console.web.request_keys import SESSION

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def add_rendering(app: web.Application, common: Mapping[str, Any]) -> None:
    """Load templates of this package; `common` is what all of them may use."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("worker.console"),
        # The name of each template ends with .html, so autoescape is always on.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "visible_lines": lambda text: printable_lines(str(text)),
        "time": readable_time,
        "iso": datetime.isoformat,
        "instant": instant,
        "moment": datetime.fromisoformat,
        "ago": ago,
        "length": length,
    }
    environment.globals |= common


def page(
    template: str, request: web.Request, values: Mapping[str, Any] | None = None, status: int = 200
) -> web.Response:
    """Render `template` as the response."""
    # aiohttp_jinja2's context processors run in a middleware, and so not for error pages.
    context = {**_frame(request), **(values or {})}
    return aiohttp_jinja2.render_template(template, request, context, status=status)


def visible(text: object) -> str:
    """`text` on one line, with control characters and direction marks as escapes; "" for None."""
    return "" if text is None else printable(str(text))


def ago(at: datetime) -> str:
    return f"{length(datetime.now(UTC) - at)} ago"


def instant(at: datetime, *, exact: bool = False) -> Markup:
    """A time to the second, or to the millisecond; all of it for programs and as a title."""
    utc = at.astimezone(UTC)
    shown = f"{utc:%Y-%m-%d %H:%M:%S}"
    if exact:
        shown += f".{utc.microsecond // 1000:03d}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        utc.isoformat(), readable_time(at), shown
    )


def length(duration: timedelta | float) -> str:
    """A duration in its largest unit, rounded down: 3 min."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    for unit, of in _UNITS:
        if seconds >= of:
            return f"{seconds // of:.0f} {unit}"
    return "0 s"


def _frame(request: web.Request) -> dict[str, Any]:
    """What the frame of each page needs."""
    return {
        "session": request.get(SESSION),
        "path": request.path,
        "now": datetime.now(UTC),
        "query": request.query,
    }
