"""An EHR that misbehaves: a small FHIR server on loopback whose answers a test chooses.

Answers are written to the socket as bytes, so that they can be wrong in every way that HTTP can be wrong.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


class Peer:
    """One connection while its request is answered."""

    def __init__(self, connection: socket.socket, stop: threading.Event) -> None:
        self._connection = connection
        self._stop = stop

    def write(self, data: bytes) -> None:
        self._connection.sendall(data)

    def wait(self, seconds: float) -> None:
        """Pause; ends early, by an OSError, when the EHR is shut down."""
        if self._stop.wait(seconds):
            raise OSError

    def reset(self) -> None:
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Answer = Callable[[Peer], None]


def answer(body: bytes, status: int = 200, **headers: str) -> Answer:
    """A whole answer; headers by name with _ for -; Content_Type is FHIR JSON unless given."""
    lines = {"Content-Type": "application/fhir+json", "Content-Length": str(len(body))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return lambda peer: peer.write(f"HTTP/1.1 {status} x\r\n{head}\r\n".encode() + body)


def resource(value: Any) -> Answer:
    return answer(json.dumps(value).encode())


def searchset(*rows: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": row} for row in rows], **more}


@dataclass
class FaultEhr:
    """``answers`` by the part of the path after the base, or by its type; anything else is an empty search result.

    ``seen`` has the target and the Authorization header of each request; ``connections`` counts them.
    """

    base: str
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0

    @property
    def targets(self) -> list[str]:
        return [target for target, _ in self.seen]

    @property
    def tokens(self) -> set[str | None]:
        return {token for _, token in self.seen}

    def find(self, target: str) -> Answer:
        rest = target.removeprefix("/fhir").removeprefix("/")
        for name in (rest, rest.partition("?")[0], rest.partition("?")[0].partition("/")[0]):
            if name in self.answers:
                return self.answers[name]
        return resource(searchset(total=0))


@contextmanager
def fault_ehr(host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[FaultEhr]:
    """A running EHR; its base URL names ``host``. Everything it started has ended when the block ends."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    open_ones: list[socket.socket] = []
    lock = threading.Lock()
    with socket.socket() as listener:
        listener.bind((host, port))
        listener.listen(64)
        listener.settimeout(0.02)
        ehr = FaultEhr(f"{'https' if tls else 'http'}://{host}:{listener.getsockname()[1]}/fhir")

        def serve(connection: socket.socket) -> None:
            with suppress(OSError, ValueError):
                connection.settimeout(10)
                if tls:
                    connection = tls.wrap_socket(connection, server_side=True)
                with connection:
                    peer, data = Peer(connection, stop), b""
                    while not stop.is_set():
                        while b"\r\n\r\n" not in data:
                            chunk = connection.recv(65536)
                            if not chunk:
                                return
                            data += chunk
                        head, _, data = data.partition(b"\r\n\r\n")
                        lines = head.decode("latin-1").split("\r\n")
                        headers = {
                            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:])
                        }
                        with lock:
                            ehr.seen.append((lines[0].split(" ")[1], headers.get("authorization")))
                            ehr.at_once += 1
                            ehr.most_at_once = max(ehr.most_at_once, ehr.at_once)
                        try:
                            ehr.find(lines[0].split(" ")[1])(peer)
                        finally:
                            with lock:
                                ehr.at_once -= 1

        def accept() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    connection, _ = listener.accept()
                    ehr.connections += 1
                    open_ones.append(connection)
                    threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                    threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield ehr
        finally:
            stop.set()
            accepting.join(5)
            for connection in open_ones:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            for thread in threads:
                thread.join(5)
