"""The port of this machine that the page is served at; nothing heavy is imported to refuse one."""

from __future__ import annotations

import socket

from zoom_iqa.base.errors import ConfigError

HOST = "127.0.0.1"
"""This machine alone: nobody else reaches it."""


def check_port(port: int) -> None:
    """Refuse a port that cannot be listened on.

    Raises:
        ConfigError: it is none, or taken.
    """
    if not 1 <= port <= 65535:
        raise ConfigError(f"--port {port} must be between 1 and 65535")
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"--port {port}: {error.strerror}; give another one, such as --port {_free_port()}"
            ) from error


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind((HOST, 0))
        return int(trial.getsockname()[1])
