"""The server: a thread of the monitor that answers from what the monitor last handed over.

The only file of a run that it reads is the report of an evaluation, when somebody opens it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bistill import console
from bistill.errors import OptionError
from bistill.monitor.runs import RunView
from bistill.monitor.web import assets
from bistill.monitor.web.board import Board, columns, snapshots
from bistill.monitor.web.feed import Feed, dumped, event
from bistill.monitor.web.guard import LOOPBACK, REPORT_POLICY, TOKEN, Guard, is_wildcard
from bistill.monitor.web.keys import Keys

# So often a stream says that it is there: a page that hears nothing for longer knows that its connection is dead, also
# where no network says so (a machine asleep, a stopped process, a tunnel that hangs).
ALIVE_SECONDS = 4.0
# Runs whose details one page may ask for: one, and others to compare it with; the page has as many colours.
MOST_WATCHED: Final = 6
CLOSING_SECONDS: Final = 5.0
JSON: Final = "application/json"


class WebServer:
    """The page of the runs below a folder; it listens as soon as it is made.

    Args:
        root: folder below which the runs lie.
        host: address or name of this machine to listen on.
        port: 0 for a free one.

    Raises:
        OptionError: the address is not this machine's, or the port is taken.
        ArtifactError: the charting library is missing or not the published one.
    """

    def __init__(self, root: Path, host: str, port: int) -> None:
        self._root, self._host = root, host
        self._assets = assets.load()
        self._socket = _listening(host, port)
        self._port: int = self._socket.getsockname()[1]
        self._keys = Keys(self._port)
        self._board: Board = {}
        self.waiting: set[asyncio.Event] = set()
        self._closing = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self._server = uvicorn.Server(_configuration(Guard(self._application(), self._keys, host)))
        self._thread = threading.Thread(target=self._run, name="monitor-page", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where to open the page. Each address works once; after that this is another one, for the next browser."""
        name = socket.gethostname() if is_wildcard(self._host) else self._host
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self._port}/?{urlencode({TOKEN: self._keys.token})}"

    def notice(self) -> str:
        """The address in a line, with a warning where others can listen."""
        warning = "" if self._host in LOOPBACK else "; who listens on the network can read it (`host`)"
        return console.worded(f"web page: {self.address} (works once{warning})")

    def __enter__(self) -> Self:
        """Already listening."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no longer."""
        self.close()

    def act(self, views: Iterable[RunView]) -> None:
        """Show these runs from now on; takes microseconds, never waits for a browser."""
        self._board = snapshots(views, self._root)
        self._wake()

    def close(self) -> None:
        """Say farewell to the open pages and stop listening."""
        self._closing = self._server.should_exit = True
        self._wake()
        self._thread.join(CLOSING_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._socket])

    def _wake(self) -> None:
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended in this moment
                self.loop.call_soon_threadsafe(self._tell_pages)

    def _tell_pages(self) -> None:
        for news in self.waiting:
            news.set()

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/static/{name}", self._asset),
                Route("/report/{id}", self._report),
                Route("/api/runs", self._runs),
                Route("/api/runs/{id}", self._run_details),
                Route("/api/changes", self._changes),
            ]
        )

    async def _page(self, request: Request) -> Response:
        return _sent(self._assets[assets.PAGE])

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        asset = await run_in_threadpool(assets.korean_font) if name == assets.KOREAN_FONT else self._assets.get(name)
        return _sent(asset) if asset else PlainTextResponse("no such file\n", HTTPStatus.NOT_FOUND)

    async def _report(self, request: Request) -> Response:
        run = self._board.get(request.path_params["id"])
        try:
            page = await run_in_threadpool(run.report.read_bytes) if run and run.report else None
        except OSError:  # gone since the last look
            page = None
        if page is None:
            return PlainTextResponse("no such report\n", HTTPStatus.NOT_FOUND)
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})

    async def _runs(self, request: Request) -> Response:
        board = self._board
        return Response(dumped({key: run.summary for key, run in board.items()}), media_type=JSON)

    async def _run_details(self, request: Request) -> Response:
        run = self._board.get(request.path_params["id"])
        if run is None:
            return PlainTextResponse("no such run\n", HTTPStatus.NOT_FOUND)
        shown = {name: value for name, value in run._asdict().items() if name != "report"}
        return Response(dumped({**shown, "steps": columns(run.steps)}), media_type=JSON)

    async def _changes(self, request: Request) -> Response:
        watched = request.query_params.getlist("run")[:MOST_WATCHED]
        return StreamingResponse(self._stream(Feed(watched)), media_type="text/event-stream")

    async def _stream(self, feed: Feed) -> AsyncIterator[str]:
        news, told = asyncio.Event(), float("-inf")
        self.waiting.add(news)
        try:
            while not self._closing:
                news.clear()
                for message in feed.messages(self._board):
                    yield message
                if time.monotonic() - told >= ALIVE_SECONDS:
                    yield event("alive", ALIVE_SECONDS)
                    told = time.monotonic()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), ALIVE_SECONDS)
        finally:
            self.waiting.discard(news)


def _sent(asset: assets.Asset) -> Response:
    return Response(asset.body, media_type=asset.media_type, headers={"Cache-Control": asset.cache})


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        what = f"the page cannot listen there ({error})"
        where, todo = f"`host` {host} `port` {port}", "give an address of this machine and a free port (0 finds one)"
        raise OptionError(what, where=where, todo=todo) from None


def _configuration(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
