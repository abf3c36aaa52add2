"""What every request must pass before it reaches a route, and the headers of every answer that sets no others."""

from __future__ import annotations

import ipaddress
import socket
from http import HTTPStatus
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bistill.monitor.web.keys import Keys

# Nothing from elsewhere, no script or style inside the page, no text that becomes a script, in no frame of others.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "font", "connect")),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
# A report of an evaluation is a page by itself, with its style and pictures in it: it is shown as of an origin of its
# own, without scripts, forms or requests to anyone, the monitor included.
REPORT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
TOKEN: Final = "token"
ENTRANCE: Final = "/"
NO_ENTRY: Final = (
    "Open the address that the monitor shows now; each works once.\n"
    "모니터가 지금 보여 주는 주소로 여세요. 주소는 한 번만 쓸 수 있습니다.\n"
)


class Guard:
    """Lets through GET requests to this machine's own names by browsers that hold a key; read-only, so nothing else.

    Answers 403 to another name in the Host header (a name of a stranger's site that was made to point here), 405 to
    other methods, 401 without a key. The entrance exchanges a valid token for a cookie.

    Args:
        app: what is guarded.
        keys: tokens and cookies.
        host: address that the server listens on.
    """

    def __init__(self, app: ASGIApp, keys: Keys, host: str) -> None:
        self._app, self._keys, self._host = app, keys, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        assert scope["type"] == "http", "the server is started without lifespan and WebSocket"
        refusal, cookie = self._judge(HTTPConnection(scope))

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._complete(MutableHeaders(scope=message), cookie)
            await send(message)

        await (refusal or self._app)(scope, receive, guarded_send)

    def _judge(self, request: HTTPConnection) -> tuple[Response | None, str | None]:
        """An answer that refuses, or None; and a cookie to give out, or None."""
        if not is_own_name(request.headers.get("host", ""), self._host):
            return PlainTextResponse("This name is not one of the monitor's.\n", HTTPStatus.FORBIDDEN), None
        if request.scope["method"] != "GET":
            said, allowed = "The monitor only shows.\n", {"Allow": "GET"}
            return PlainTextResponse(said, HTTPStatus.METHOD_NOT_ALLOWED, allowed), None
        token = request.query_params.get(TOKEN) if request.url.path == ENTRANCE else None
        cookie = self._keys.exchange(token) if token else None
        if cookie or self._keys.knows(request.cookies.get(self._keys.cookie_name, "")):
            return None, cookie
        return PlainTextResponse(NO_ENTRY, HTTPStatus.UNAUTHORIZED), None

    def _complete(self, headers: MutableHeaders, cookie: str | None) -> None:
        for name, value in {**HEADERS, "Cache-Control": "no-store"}.items():
            headers.setdefault(name, value)
        if cookie:
            made = f"{self._keys.cookie_name}={cookie}; Path=/; HttpOnly; SameSite=Strict"
            headers.append("Set-Cookie", made)


def is_own_name(header: str, host: str) -> bool:
    """Whether a Host header names this machine as it is listened on.

    Names can be pointed anywhere by who owns them, addresses cannot: where the server listens on all addresses, every
    address is let through, and of names only the machine's own. Ports are not compared, since a tunnel changes them.

    Args:
        header: value of the Host header: a name or address, perhaps with a port; IPv6 in brackets.
        host: address or name that the server listens on.
    """
    name, bracket, _ = header.strip().lower().rpartition("]")
    name = name.removeprefix("[") if bracket else header.strip().lower().partition(":")[0]
    if name in {*LOOPBACK, host.lower()}:
        return bool(name)
    return is_wildcard(host) and (_is_address(name) or name == socket.gethostname().lower())


def is_wildcard(host: str) -> bool:
    """Whether an address stands for all addresses of the machine."""
    return host in {"0.0.0.0", "::"}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
