"""Where the configuration lies, and the checks that turn a typo into one line before anything is built."""

from __future__ import annotations

import difflib
import inspect
import math
import os
import pkgutil
import re
import select
import sys
import traceback
import types
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoom_iqa.errors import ConfigError, ZoomIQAError
from zoom_iqa.policy.tiny import tiny_policy_folder

OmegaConf.register_new_resolver("product", lambda *factors: math.prod(int(factor) for factor in factors), replace=True)
OmegaConf.register_new_resolver("shipped_policy", lambda: str(tiny_policy_folder()), replace=True)

HYDRA_KEYS = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
_INTERPOLATION = re.compile(r"\$\{(\.*)([A-Za-z_][\w.]*)\}")
_OVERRIDDEN = re.compile(r"Could not override '([^']+)'\.\s*To append")
_FLAGS = ("Only one of --run", "The --resolve flag")  # how Hydra begins what it says of its own flags


def conf_dir() -> Path:
    """The configuration folder: inside an installed package, or beside ``src`` in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


def check_config(cfg: DictConfig) -> None:
    """Raise ConfigError for the first missing value, unknown target, or key or value its target does not take."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    missing = sorted(".".join(parts) for parts, value in _leaves(plain, ()) if value == "???")
    if missing:
        raise ConfigError(
            f"{missing[0]} has no value; set {missing[0]}=... ({len(missing)} missing: {', '.join(missing)})"
        )
    _check_factors(cfg, plain)
    for path, node in _targets(cfg, ""):
        check_target(path, node)


def check_target(path: str, node: DictConfig) -> None:
    """Check one node with a ``_target_``; ``path`` is where it stands in the config.

    Raises:
        ConfigError: there is no such target, or it takes no such key or value, or lacks one.
    """
    try:
        target = pkgutil.resolve_name(node["_target_"])
    except (ImportError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}._target_={node['_target_']}: not found ({error})") from error
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # some C extensions have no signature; instantiation will tell
        return
    given = [str(key) for key in node if key not in HYDRA_KEYS]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in given:
            if key not in parameters:
                raise ConfigError(f"{path}.{key}: {node['_target_']} takes no such key{_hint(key, parameters)}")
    hints = _type_hints(target)
    for key in given:
        if key in hints and not _fits(node[key], hints[key]):
            where = _origin(node, key) or f"{path}.{key}"
            raise ConfigError(f"{where}={_shown(node[key])}: {node['_target_']} needs {_named(hints[key])}")
    required = [
        n for n, p in parameters.items() if p.default is p.empty and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    absent = sorted(set(required) - set(given))
    if absent and not node.get("_partial_") and not node.get("_args_"):
        raise ConfigError(f"{path}: {node['_target_']} needs {', '.join(absent)}; add to the YAML or the command line")


def check_read(cfg: DictConfig, *, read: Collection[str]) -> None:
    """Refuse what nothing reads: no target takes it, no interpolation names it, and it is not one of ``read``.

    Hydra refuses unknown keys on the command line; those in a YAML file it adds, and they would be lost.

    Raises:
        ConfigError: naming the first such key and its neighbours.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    known = {*read, *_interpolated(plain)}
    for path in _unread(plain, "", known):
        *parents, key = path.split(".")
        siblings = plain
        for parent in parents:
            siblings = siblings[parent]
        raise ConfigError(f"{path}: nothing reads this key{_hint(key, [str(k) for k in siblings if str(k) != key])}")


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
    for depth, part in enumerate(parts):
        if not isinstance(node, DictConfig):
            return f"{'.'.join(parts[:depth])} is a value and holds no key {part}"
        if part not in node:
            return f"{'.'.join(parts[: depth + 1])}: there is no such key{_hint(part, [str(k) for k in node])}"
        node = node._get_node(part)
    return None


def _first_choice(argument: str) -> str:
    """A multirun's ``a=1,2`` as ``a=1``; values with brackets or quotes stay as they are."""
    key, _, value = argument.partition("=")
    return argument if re.search(r"[\[({'\"]", value) else f"{key}={value.partition(',')[0]}"


def _targets(node: Any, path: str) -> Iterator[tuple[str, DictConfig]]:
    if isinstance(node, DictConfig):
        if "_target_" in node:
            yield path, node
        for key in map(str, node):
            yield from _targets(node[key], f"{path}.{key}" if path else key)
    elif isinstance(node, ListConfig):
        for index, item in enumerate(node):
            yield from _targets(item, f"{path}[{index}]")


def _check_factors(cfg: DictConfig, plain: Any) -> None:
    """Name the value that a product of counts cannot be made of: the product itself is nobody's to set."""
    for parts, value in _leaves(plain, ()):
        if not isinstance(value, str) or not value.startswith("${product:"):
            continue
        for factor in _interpolated_by(parts, value):
            count = OmegaConf.select(cfg, factor)
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ConfigError(f"{factor}={_shown(count)} must be a whole number of at least 1")


def _origin(node: DictConfig, key: str) -> str | None:
    """Where the value lies that ``key`` is an interpolation of; None for a value of its own."""
    inner: Any = node._get_node(key)
    return inner._dereference_node()._get_full_key(None) if inner._is_interpolation() else None


def _type_hints(target: Any) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError, AttributeError):  # names known to type checkers only
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a config value can be what is annotated; in doubt yes."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if value is None or hint is type(None):
        return value is None and hint in (type(None), Any)
    if isinstance(value, DictConfig):
        return hint not in (bool, int, float, str)
    is_part = getattr(hint, "__module__", "").startswith(("zoom_iqa", "torch"))  # only a mapping can make one
    if isinstance(value, ListConfig):
        return not is_part and hint not in (bool, int, float, str)
    if hint in (int, float):
        return isinstance(value, int if hint is int else (int, float)) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    return not is_part and origin is None  # a number or text stands for no function or sequence


def _named(hint: Any) -> str:
    options = get_args(hint)
    if get_origin(hint) is Literal:
        return " or ".join(map(str, options))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(_named, options))
    return "null" if hint is type(None) else getattr(hint, "__name__", str(hint))


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


def _hint(key: str, valid: Collection[str]) -> str:
    close = difflib.get_close_matches(key, valid, n=1)
    guess = f"; did you mean {close[0]}?" if close else ";"
    return f"{guess} Valid: {', '.join(sorted(valid))}"


def _leaves(node: Any, parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of a plain config with the keys and indices that lead to it."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, (*parts, str(key)))
    else:
        yield parts, node


def _unread(node: dict[str, Any], path: str, known: Collection[str]) -> Iterator[str]:
    """The highest keys under which there is no target and nothing known; nor are they under something known."""
    for key, value in node.items():
        here = f"{path}.{key}" if path else str(key)
        if here in known or (isinstance(value, dict) and ("_target_" in value or not value)):
            continue
        below = value if isinstance(value, dict) else {}
        unread = list(_unread(below, here, known))
        yield from [here] if len(unread) == len(below) else unread


def _interpolated(plain: Any) -> Iterator[str]:
    """Absolute paths of everything that interpolations name; each dot before a name is a step up."""
    for parts, value in _leaves(plain, ()):
        if isinstance(value, str):
            yield from _interpolated_by(parts, value)


def _interpolated_by(parts: tuple[str, ...], value: str) -> Iterator[str]:
    """Absolute paths of what one value names, which stands at ``parts``."""
    for dots, name in _INTERPOLATION.findall(value):
        base = parts[: len(parts) - len(dots)] if dots else ()
        yield ".".join((*base, name))


def _report(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2
