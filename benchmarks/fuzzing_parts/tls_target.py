"""What is no TLS, to a port that speaks it."""

from __future__ import annotations

import asyncio
import random
import ssl
from pathlib import Path

from benchmarks.fuzzing_parts.odd_clients import GOOD, TLS_HELLO, line
from benchmarks.fuzzing_parts.real_server import RealServer
from tests.serving.guard.certificates_made import Authority

AT_ONCE = 20


def run(folder: Path, seed: int, count: int) -> list[str]:
    """What went wrong."""
    authority = Authority()
    folder.mkdir(exist_ok=True)
    cert, key = authority.server().write(folder, "server")
    context = ssl.create_default_context(cadata=authority.pem.decode())
    failures: list[str] = []
    server = RealServer(folder, "--tls-cert", str(cert), "--tls-key", str(key), context=context)
    try:
        asyncio.run(_all(server.port, random.Random(f"{seed}/tls"), count))
        server.check()
        server.check_whole()
    except Exception as problem:
        failures.append(f"{type(problem).__name__}: {problem}")
    finally:
        if (code := server.stop()) != 0:
            failures.append(f"the server ended with {code}")
    return failures


async def _all(port: int, rng: random.Random, count: int) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        data = rng.choice((GOOD, TLS_HELLO, TLS_HELLO[: rng.randrange(60)], rng.randbytes(300), b""))
        async with gate, line(port) as client:
            await client.send(data)
            if rng.random() < 0.3:
                client.reset()
            else:
                client.shut()
                await client.rest()

    await asyncio.gather(*(one() for _ in range(count)))
