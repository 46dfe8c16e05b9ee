"""Running a command: errors made on purpose end in one line and exit status 2."""

from __future__ import annotations

import os
import re
import select
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from zoom_iqa.base.errors import ZoomIQAError
from zoom_iqa.config.checks import hint
from zoom_iqa.config.location import conf_dir

_OVERRIDDEN = re.compile(r"Could not override '([^']+)'\.\s*To append")
_RENAMED = {"regularizer": "penalties=NAME and penalties.NAME.KEY=VALUE, or filters=clip_cov"}  # of earlier versions
_FLAGS = ("Only one of --run", "The --resolve flag")  # how Hydra begins what it says of its own flags


def run_command(command: Callable[[], None], *, config_name: str | None = None) -> None:
    """Run an entry point; a configuration that does not compose is one line on stderr and exit status 2.

    With the name of its root config, a wrong key on the command line is shown with the valid ones beside it.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let errors reach us instead of being printed by Hydra
    with expected_errors(config_name):
        command()
        sys.stdout.flush()


@contextmanager
def expected_errors(config_name: str | None = None) -> Iterator[None]:
    """Turn errors made on purpose into one line on stderr and exit status 2; others keep their traceback."""
    try:
        yield
    except ZoomIQAError as error:
        sys.exit(_report(str(error)))
    except (HydraException, OmegaConfBaseException) as error:
        overridden = _OVERRIDDEN.search(str(error))
        if overridden and config_name is not None:
            sys.exit(_report(_unknown_key(overridden[1], config_name, sys.argv[1:]) or one_line(error)))
        sys.exit(_report(one_line(error)))
    except yaml.YAMLError as error:
        sys.exit(_report(" ".join(str(error).split())))
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if not _raised_by_hydra(error):
            raise
        sys.exit(_report(f"paths.run_dir: {error.filename}: {error.strerror}; name a folder that can be made"))
    except ValueError as error:
        if not str(error).startswith(_FLAGS):
            raise
        remedy = "; to see the config of one run of a multirun, drop -m and give that run's values"
        sys.exit(_report(str(error) + (remedy if "--multirun" in str(error) else "")))


def _output_is_closed() -> bool:
    """Whether the output is a pipe whose reader has gone, as `head` does."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)  # errors are told unasked
    return any(event & select.POLLERR for _, event in output.poll(0))


def _raised_by_hydra(error: OSError) -> bool:
    """Whether Hydra asked for the file operation: it makes the run folder before any of our code runs."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    asking = [file for file in files if file.name not in ("os.py", "pathlib.py")]
    return bool(asking) and "hydra" in asking[-1].parts


def one_line(error: Exception) -> str:
    """The message of a configuration error in one line: its key first, without Hydra's advice."""
    lines = [line.strip() for line in str(error).split("Config search path:")[0].splitlines() if line.strip()]
    keys = [line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")]
    key = f"{keys[-1]}: " if keys else ""
    if isinstance(error.__cause__, ZoomIQAError):
        message = str(error.__cause__)
        return message if keys and message.startswith(keys[-1].partition(".")[0] + ".") else key + message
    advice = ("full_key:", "object_type=", "Set the environment", "provider=")
    return key + " ".join(line for line in lines if not line.startswith(advice))


def _unknown_key(key: str, config_name: str, arguments: Sequence[str]) -> str | None:
    """What to say of a key the config does not have, from the config that the other arguments make."""
    others = [a for a in arguments if "=" in a and not a.startswith("-") and a.lstrip("+~").partition("=")[0] != key]
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            node: Any = compose(config_name, overrides=[_first_choice(argument) for argument in others])
    except (HydraException, OmegaConfBaseException):
        return None  # something else is wrong as well; the first error will do
    parts = key.split(".")
    if parts[0] in _RENAMED:
        return f"{parts[0]} is now {_RENAMED[parts[0]]}"
    for depth, part in enumerate(parts):
        if not isinstance(node, DictConfig):
            return f"{'.'.join(parts[:depth])} is a value and holds no key {part}"
        if part not in node:
            return f"{'.'.join(parts[: depth + 1])}: there is no such key{hint(part, [str(k) for k in node])}"
        node = node._get_node(part)
    return None


def _first_choice(argument: str) -> str:
    """A multirun's ``a=1,2`` as ``a=1``; values with brackets or quotes stay as they are."""
    key, _, value = argument.partition("=")
    return argument if re.search(r"[\[({'\"]", value) else f"{key}={value.partition(',')[0]}"


def _report(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2
