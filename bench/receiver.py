"""Servers on loopback for the contestants: each takes the heartbeats of one of them and notes when they came."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Beats:
    """The heartbeats of one contestant, counted from 1, each with its time and the size of its document."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.times: list[float] = []
        self.sizes: list[int] = []
        self.connected: float | None = None
        self.secured: float | None = None

    def note(self, size: int) -> None:
        """A heartbeat has come whole."""
        with self._changed:
            self.times.append(time.monotonic())
            self.sizes.append(size)
            self._changed.notify_all()

    def wait_for(self, count: int, timeout: float) -> None:
        """Returns when so many have come in all."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.times) >= count, timeout):
                raise TimeoutError(f"{len(self.times)} beats came in {timeout:.0f} s, expected {count}")


class Receiver:
    """Takes heartbeats over HTTP/1.1, with TLS if there is a context, and answers each with an empty 200."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.beats = Beats()
        self.context = context
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.beats.connected is None:
                self.beats.connected = time.monotonic()
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def disconnect(self, context: ssl.SSLContext | None) -> None:
        """Ends all connections. With another context no session of TLS can be resumed."""
        self.context = context
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                secured = self.context.wrap_socket(connection, server_side=True)
                # Its descriptor is the secured one's now.
                self._open[self._open.index(connection)] = secured
                connection = secured
            if self.beats.secured is None:
                self.beats.secured = time.monotonic()
            with connection:
                take_requests(connection, self.beats.note)


def take_requests(connection: socket.socket, note: Callable[[int], None]) -> None:
    """Answers requests until the peer ends."""
    received = b""
    while True:
        head, end, rest = received.partition(b"\r\n\r\n")
        length = body_length(head) if end else 0
        if not end or len(rest) < length:
            more = connection.recv(65536)
            if not more:
                return
            received += more
            continue
        received = rest[length:]
        note(length)
        connection.sendall(REPLY)


def body_length(head: bytes) -> int:
    """The `Content-Length` of a request's head."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class Scraper:
    """Asks an exporter for its metrics over one kept connection, each interval, as Prometheus does."""

    def __init__(self, port: int, interval: float) -> None:
        self.beats = Beats()
        self._port, self._interval = port, interval
        threading.Thread(target=self._scrape, daemon=True).start()

    def _scrape(self) -> None:
        connection = self._connect()
        self.beats.connected = self.beats.secured = time.monotonic()
        due = time.monotonic()
        with contextlib.suppress(OSError), connection:
            while True:
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n")
                self.beats.note(read_reply(connection))
                due += self._interval
                time.sleep(max(0, due - time.monotonic()))

    def _connect(self) -> socket.socket:
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                time.sleep(0.001)


def read_reply(connection: socket.socket) -> int:
    """Reads one reply with a length or in chunks, and returns the size of its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += receive(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        while len(body) < body_length(head):
            body += receive(connection)
        return len(body)
    while not body.endswith(b"0\r\n\r\n"):
        body += receive(connection)
    return len(body)


def receive(connection: socket.socket) -> bytes:
    """Reads something."""
    more = connection.recv(65536)
    if not more:
        raise ConnectionResetError
    return more
