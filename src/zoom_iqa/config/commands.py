"""Running a command: errors made on purpose end in one line and exit status 2."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import yaml
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from zoom_iqa.base.errors import ConfigError, OutputError, StoppedError, TrainingError, ZoomIQAError
from zoom_iqa.base.printable import printable
from zoom_iqa.base.standard_output import end_if_unread, take_any_text
from zoom_iqa.config.composition import explained_error
from zoom_iqa.parallel.launching import end_children, follow_parent, lost_child
from zoom_iqa.parallel.processes import is_first, settle, world_size
from zoom_iqa.parallel.silence import leave_watch
from zoom_iqa.parallel.stopping import stoppable

CHILDREN_END_S = 60.0
FAILED = 2
"""The status of a command that an error made on purpose has ended."""
_OF_THE_DISK = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "let files be larger (ulimit -f)",
    errno.EROFS: "make it writable",
    errno.EIO: "look after the disk",
    errno.ENAMETOOLONG: "give a shorter name",
}
"""Errors of writing that may come at any moment of a run, and what to do."""
_LOST_CONNECTION = re.compile(r"gloo|NCCL|Connection (closed|reset) by peer|store|socket", re.IGNORECASE)
_FLAGS = ("Only one of --run", "The --resolve flag")  # how Hydra begins what it says of its own flags


def run_command(
    command: Callable[[], None],
    *,
    config_name: str | None = None,
    go_on: Callable[[], str] | None = None,
) -> None:
    """Run an entry point; an error made on purpose is one line on stderr and exit status 2.

    ``config_name`` is the root config of a command that Hydra itself starts: it has Hydra's flags, and a wrong key is
    shown with the valid ones beside it. ``go_on`` makes the command that continues this one when it was stopped.
    Processes of a run end with the one that started them.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let errors reach us instead of being printed by Hydra
    take_any_text()
    follow_parent()
    patience_s, done = 0.0, False  # after an error others have nothing left to do
    try:
        with stoppable(), expected_errors(config_name, go_on=go_on):
            if config_name is not None:
                _refuse_unknown_flags(sys.argv[1:])
            command()
            sys.stdout.flush()
        patience_s, done = CHILDREN_END_S, True
    except _Agreed:
        done = True  # the others end by themselves, and this one may have logs to close and a job to queue again
        raise
    finally:
        leave_watch(done=done)
        settle()
        end_children(within_s=patience_s)


class _Agreed(SystemExit):
    """An end that all processes of the run have come to, and not one of them alone."""


@contextmanager
def expected_errors(config_name: str | None = None, *, go_on: Callable[[], str] | None = None) -> Iterator[None]:
    """Turn errors made on purpose into one line on stderr and exit status 2; others keep their traceback.

    A run stopped by a signal ends with 128 + its number; ``go_on`` makes the command that continues it.
    """
    with _errors(config_name, go_on), _stops(go_on):
        yield


@contextmanager
def _stops(go_on: Callable[[], str] | None) -> Iterator[None]:
    """A stop ends all, also as another error: code that a signal interrupts may fail as it cleans up behind itself."""
    try:
        yield
    except BaseException as error:
        chain: BaseException | None = error
        while chain is not None and not isinstance(chain, StoppedError):
            chain = chain.__context__
        if chain is None or (isinstance(error, SystemExit) and error.code == 128 + chain.number):
            raise  # another error, or a stop that has been reported further in
        raise _Agreed(_report_stop(chain.number, go_on)) from error


@contextmanager
def _errors(config_name: str | None, go_on: Callable[[], str] | None) -> Iterator[None]:
    try:
        yield
    except TrainingError as error:
        raise _Agreed(_report(f"{error}{_remedy(go_on)}") if is_first() else FAILED) from None
    except OutputError as error:
        sys.exit(_report(f"{error}{_remedy(go_on)}"))
    except ZoomIQAError as error:
        sys.exit(_report(str(error)))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_report(str(_explained(error, config_name) or one_line(error))))
    except yaml.YAMLError as error:
        sys.exit(_report(" ".join(str(error).split())))
    except RuntimeError as error:
        if world_size() == 1 or not _LOST_CONNECTION.search(str(error)):
            raise
        sys.exit(_report_loss(go_on))
    except BrokenPipeError as error:
        end_if_unread(error)
    except OSError as error:
        if _raised_by_hydra(error):
            sys.exit(_report(f"paths.run_dir: {error.filename}: {error.strerror}; name a folder that can be made"))
        if error.errno not in _OF_THE_DISK:
            raise
        remedy = "" if go_on is None or error.errno == errno.ENAMETOOLONG else f", then go on: {go_on()}"
        sys.exit(_report(_of_the_disk(error) + remedy))
    except ValueError as error:
        explained = _explained(error, config_name)
        if explained is not None:
            sys.exit(_report(str(explained)))
        if not str(error).startswith(_FLAGS):
            raise
        remedy = "; to see the config of one run of a multirun, drop -m and give that run's values"
        sys.exit(_report(str(error) + (remedy if "--multirun" in str(error) else "")))


def _of_the_disk(error: OSError) -> str:
    """The file, what is wrong and the remedy, of an error that has one."""
    assert error.errno is not None, "an error of _OF_THE_DISK"
    place = "" if error.filename is None else f"{printable(str(error.filename))}: "
    return f"{place}{error.strerror}; {_OF_THE_DISK[error.errno]}"


def _report_stop(number: signal.Signals, go_on: Callable[[], str] | None) -> int:
    if is_first():
        print(f"stopped by {number.name}{_remedy(go_on)}", file=sys.stderr)
    return 128 + number


def _report_loss(go_on: Callable[[], str] | None) -> int:
    """The message for a failed collective: who has died, or that another process will say why."""
    lost = lost_child()
    if lost is None:
        return _report("the connection to another process of this run is lost; it or its machine says why")
    if lost.stopped_by is not None:
        return _report_stop(lost.stopped_by, go_on)
    return _report(f"{lost.said}{_remedy(go_on)}")


def _remedy(go_on: Callable[[], str] | None) -> str:
    return "" if go_on is None else f"; to go on: {go_on()}"


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
    if isinstance(error.__cause__, OSError) and error.__cause__.errno in _OF_THE_DISK:
        return key + _of_the_disk(error.__cause__)
    advice = ("full_key:", "object_type=", "Set the environment", "provider=")
    return key + " ".join(line for line in lines if not line.startswith(advice))


def _refuse_unknown_flags(arguments: Sequence[str]) -> None:
    """Hydra's own parser, which would print pages, asked first.

    Raises:
        ConfigError: a flag that Hydra does not have, or one without its value.
    """
    parser = get_args_parser()
    parser.allow_abbrev = False  # --experiment would stand for --experimental-rerun

    def error(message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help shows what there is")

    parser.error = error  # type: ignore[method-assign]
    unknown = parser.parse_known_args(arguments)[1]
    flags = [argument for argument in unknown if argument.startswith("-")]
    if unknown and not flags:
        raise ConfigError(f"{unknown[0]}: put all key=value arguments on one side of the flags, such as -m seed=0,1")
    if flags:
        raise ConfigError(
            f"{flags[0]}: there is no such flag; choices and values are given as key=value, such as "
            "+experiment=quickstart or seed=1 (--help)"
        )


def _explained(error: Exception, config_name: str | None) -> ConfigError | None:
    return None if config_name is None else explained_error(error, config_name, _overrides_in(sys.argv[1:]))


def _overrides_in(arguments: Sequence[str]) -> list[str]:
    return [argument for argument in arguments if "=" in argument and not argument.startswith("-")]


def _report(message: str) -> int:
    lines = [printable(line) for line in message.split("\n")]  # overrides and names of files may hold anything
    print("error: " + "\n".join(lines), file=sys.stderr)
    return FAILED
