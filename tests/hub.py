"""A hub on this machine: one that holds models, and one that takes connections and never says a word."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    folder: Path
    name: str
    address: str
    asked: list[str]
    mute: threading.Event

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        path = self.path.split("?")[0]
        if path.startswith(f"/{self.name}/resolve/"):
            file = self.folder / "/".join(path.split("/")[5:])
            if body and file.suffix == ".safetensors" and self.mute.is_set():
                threading.Event().wait(30)
            if file.is_file():
                content = file.read_bytes()
                return self._send(200, content if body else b"", len(content), hashlib.sha256(content).hexdigest())
        if path in (f"/api/models/{self.name}", f"/api/models/{self.name}/revision/main"):
            files = [str(file.relative_to(self.folder)) for file in self.folder.rglob("*") if file.is_file()]
            facts = {"id": self.name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
            content = json.dumps(facts).encode()
            return self._send(200, content if body else b"", len(content), "")
        return self._send(404, b"", 0, "")

    def _send(self, status: int, content: bytes, length: int, etag: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        if etag:
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that has gone away is no matter."""


@contextmanager
def serving(folder: Path, name: str) -> Iterator[type[_Handler]]:
    """A hub with the one model that the folder holds; gives what was asked, and a switch that silences its weights."""

    class Handler(_Handler):
        pass

    Handler.folder, Handler.name, Handler.asked, Handler.mute = folder, name, [], threading.Event()
    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    Handler.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield Handler
    finally:
        server.shutdown()
        server.server_close()


class Silent(str):
    """The address of a server that takes connections and never answers."""

    server: socket.socket

    def connected(self) -> bool:
        """Wait for a connection: on a busy machine it may be made only after who wanted it has stopped waiting."""
        self.server.settimeout(60)
        self.server.accept()[0].detach()  # left open, since a closed one would be an answer
        return True

    def left_alone(self) -> bool:
        """Whether no connection was made since the last one that was waited for."""
        self.server.setblocking(False)
        try:
            self.server.accept()[0].detach()
        except BlockingIOError:
            return True
        return False


@contextmanager
def silent() -> Iterator[Silent]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Silent(f"http://127.0.0.1:{server.getsockname()[1]}")
        address.server = server
        yield address


def use(monkeypatch: pytest.MonkeyPatch, address: str, home: Path) -> None:
    """Have the hub's client ask an address, with an empty cache of its own."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.utils import _cache_manager

    from bistill import hub
    from bistill.models.files import fetching

    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for module in (constants, _cache_manager):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(home))
    monkeypatch.setattr(hub, "silences", {})
    monkeypatch.setattr(fetching, "up_to_date", set())
    huggingface_hub.close_session()
