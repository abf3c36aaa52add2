"""Who may look: a token in the address that works once, and the cookies it was exchanged for."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from typing import Final

# Bytes of a token, whose address has to fit into a line of a terminal, and of a cookie, which lives longer.
TOKEN_BYTES: Final = 16
COOKIE_BYTES: Final = 32
# Browsers that may look at once; the one that came first is forgotten when another comes.
MOST_BROWSERS: Final = 64


class Keys:
    """The token that is valid now and the cookies that were given out; usable from several threads.

    Args:
        port: that the server listens on. Cookies know no ports, so it is a part of the cookie's name: two monitors on
            one machine do not overwrite each other's.
    """

    def __init__(self, port: int) -> None:
        self.cookie_name = f"bistill_monitor_{port}"
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self._cookies: deque[str] = deque(maxlen=MOST_BROWSERS)
        self._lock = threading.Lock()

    @property
    def token(self) -> str:
        """The token that has not been used yet."""
        return self._token

    def exchange(self, token: str) -> str | None:
        """A new cookie for the valid token, which is spent by this and followed by another; None for any other text."""
        with self._lock:
            if not secrets.compare_digest(token.encode(), self._token.encode()):
                return None
            self._token = secrets.token_urlsafe(TOKEN_BYTES)
            self._cookies.append(cookie := secrets.token_urlsafe(COOKIE_BYTES))
            return cookie

    def knows(self, cookie: str) -> bool:
        """Whether a cookie was given out by this process."""
        with self._lock:
            return any(secrets.compare_digest(cookie.encode(), known.encode()) for known in self._cookies)
