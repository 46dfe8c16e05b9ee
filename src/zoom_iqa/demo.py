"""Try it in a browser: ``zoom-iqa demo`` serves a page to this machine alone; drop an image and watch it being judged.

One image is judged at a time, others wait. What is dropped is kept in a folder that goes when the page is closed.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.assessor_options import ConfigDirOption, DeviceOption, PolicyOption, ProtocolOption, TaskOption
from zoom_iqa.config.late import run_after_help, told_output
from zoom_iqa.config.options import named_as_options, run_options
from zoom_iqa.policy.shipped import advice
from zoom_iqa.reports.demo.port import check_port

SUMMARY = "Serves a page to this machine: drop an image, and watch it being looked at and rated."
EXAMPLE = "zoom-iqa demo --port 7861"
PORT = 7860
SHIPPED = "the small one shipped with the package, which knows photographs with synthetic distortions"
"""The policy's name on the page."""


@told_output()
def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_options(_options, name="demo", summary=SUMMARY, example=EXAMPLE)


def _options(
    port: Annotated[int, typer.Option(metavar="N", help=f"of http://127.0.0.1:N; {PORT} unless given")] = PORT,
    policy: PolicyOption = None,
    task: TaskOption = None,
    protocol: ProtocolOption = None,
    device: DeviceOption = None,
    config_dir: ConfigDirOption = None,
) -> None:

    def command() -> None:
        if importlib.util.find_spec("gradio") is None:
            raise ConfigError("the page needs Gradio, which is missing; pip install -c constraints.txt -e '.[demo]'")
        check_port(port)
        with tempfile.TemporaryDirectory(prefix="zoom_iqa_demo_") as folder:
            os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}  # read on import
            from zoom_iqa.config.assessor import Assessor
            from zoom_iqa.reports.demo.page import page
            from zoom_iqa.reports.demo.serving import serve

            with named_as_options():
                assessor = Assessor(policy, task=task, protocol=protocol, device=device, config_dir=config_dir)
            if assessor.is_shipped:
                print(advice(task), file=sys.stderr)
            name = SHIPPED if assessor.is_shipped else str(policy)
            serve(page(assessor, policy=name, folder=Path(folder)), port=port)

    run_after_help(command)


if __name__ == "__main__":
    main()
