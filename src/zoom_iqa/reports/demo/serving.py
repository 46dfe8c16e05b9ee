"""The page on this machine alone: bound to 127.0.0.1, nothing shared, nothing fetched from elsewhere."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import Any

import gradio
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoom_iqa.base.errors import ConfigError, StoppedError
from zoom_iqa.reports.demo.page import STYLE
from zoom_iqa.reports.demo.port import HOST

MAX_UPLOAD = "20mb"
_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"

_UNDER_OWN_NAMES = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
"""A page of another site may have its own name lead here, and would then be taken for this one."""


def launch(page: gradio.Blocks, *, port: int) -> str:
    """Serve the page from threads of this process; its address.

    Raises:
        ConfigError: the port has been taken meanwhile.
    """
    system: Any = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    try:
        page.launch(
            server_name=HOST,
            server_port=port,
            share=False,
            inbrowser=False,
            prevent_thread_lock=True,
            quiet=True,
            max_file_size=MAX_UPLOAD,
            theme=system,
            css=STYLE,
            footer_links=[],
            ssr_mode=False,
            app_kwargs={"middleware": [_UNDER_OWN_NAMES, Middleware(_OwnSourcesOnly)]},
        )
    except OSError as error:
        raise ConfigError(f"--port {port}: {error}; give another one") from error
    return f"http://{HOST}:{port}"


def serve(page: gradio.Blocks, *, port: int) -> None:
    """Serve the page until a signal asks to stop.

    Raises:
        ConfigError: the port has been taken meanwhile.
    """
    print(f"open {launch(page, port=port)} in a browser; Control-C ends it", file=sys.stderr, flush=True)
    try:
        threading.Event().wait()
    except StoppedError:
        page.close(verbose=False)


class _OwnSourcesOnly:
    """Tells browsers to fetch nothing from other places, whatever a library's page or a text asks for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                header = (b"content-security-policy", _POLICY.encode())
                message = {**message, "headers": [*message.get("headers", []), header]}
            await send(message)

        with suppress(ClientDisconnect):  # in the middle of an upload: nobody is left to answer
            await self._app(scope, receive, sent)
