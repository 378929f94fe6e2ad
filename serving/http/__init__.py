"""HTTP/1.1 on asyncio, and the REST routes on it."""
