"""The listening socket. The supervisor opens it and workers inherit it, so that a killed worker loses only its own connections."""

from __future__ import annotations

import errno
import socket

from skylift.errors import InputError, MachineError

BACKLOG = 1024


def open_port(host: str, port: int) -> socket.socket:
    """A listening TCP socket.

    Raises:
        MachineError: the port is taken, by whom if that can be seen, or may not be used.
        InputError: the host is no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise InputError(f"{host!r} is no address: {error.strerror}", hint="use 127.0.0.1 or 0.0.0.0") from None
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise _refused(host, port, error) from None
    return listening


def _refused(host: str, port: int, error: OSError) -> MachineError | InputError:
    if error.errno == errno.EADDRINUSE:
        holder = _holder(port)
        return MachineError(
            f"port {port} of {host} is taken{f' by {holder}' if holder else ''}",
            hint="stop that program, or set another port (0 takes a free one)",
            details={"host": host, "port": port, "holder": holder},
        )
    if error.errno == errno.EACCES:
        return MachineError(f"port {port} may not be opened by this user", hint="use a port above 1023")
    return InputError(f"cannot listen on {host}:{port}: {error.strerror}", hint="use 127.0.0.1 or 0.0.0.0")


def _holder(port: int) -> str:
    """Who listens there, as far as this user may see."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            is_it = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port
            if is_it and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f"{name} (process {connection.pid})"
    except psutil.Error:
        pass
    return ""
