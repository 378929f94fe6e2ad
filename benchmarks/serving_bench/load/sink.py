"""A server that does nothing but answer: how fast the load generators are themselves.

`python -m benchmarks.serving_bench.load.sink BYTES` prints its port, and answers once for so many bytes of each connection.
"""

from __future__ import annotations

import select
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 100\r\n\r\n" + b"." * 100


def main(size: int) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listening.setblocking(False)
    print(listening.getsockname()[1], flush=True)
    poll = select.epoll()
    poll.register(listening.fileno(), select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    missing: dict[int, int] = {}
    while True:
        for number, _ in poll.poll():
            if number == listening.fileno():
                client, _ = listening.accept()
                connections[client.fileno()], missing[client.fileno()] = client, size
                poll.register(client.fileno(), select.EPOLLIN)
                continue
            client = connections[number]
            try:
                data = client.recv(262144)
            except ConnectionResetError:
                data = b""
            if not data:
                poll.unregister(number)
                connections.pop(number).close()
                continue
            missing[number] -= len(data)
            if not missing[number]:
                missing[number] = size
                client.send(ANSWER)


if __name__ == "__main__":
    main(int(sys.argv[1]))
