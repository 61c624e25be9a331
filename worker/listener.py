"""The worker's own HTTP address, for monitoring. Launchers use its Unix socket."""

import os

from aiohttp import web
from yarl import URL

from shared.cli import UserError


async def listen(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, URL]:
    """Serve `app`, at a free port if `port` is 0. Raises UserError if the address is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        # asyncio puts the address into words of its own, and a name that is unknown has no errno.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        raise UserError(
            f"cannot listen on {host}:{port} (CANCEL_WORKER_HTTP_HOST, CANCEL_WORKER_HTTP_PORT): "
            f"{reason}"
        ) from None
    bound_host, bound_port = runner.addresses[0][:2]
    return runner, URL.build(scheme="http", host=bound_host, port=bound_port)
