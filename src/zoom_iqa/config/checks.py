"""Checks that turn a mistake in a configuration into one line before anything is built."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import pkgutil
import re
import types
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from zoom_iqa.base.errors import ConfigError

HYDRA_KEYS = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
COME_LATER = {"rollout": {"policy", "sampling", "features"}, "resampling": {"mos", "seed", "total"}}
"""The arguments that a stage gives to a part made by it (``_partial_: true``), by the part's key."""
CHEAP = "zoom_iqa.objectives."
"""Modules whose parts cost nothing to make, as records do."""
_INTERPOLATION = re.compile(r"\$\{(\.*)([A-Za-z_][\w.]*)\}")


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
        _check_values(path, node)


def check_target(path: str, node: DictConfig) -> None:
    """Check one node with a ``_target_``; ``path`` is where it stands in the config.

    Raises:
        ConfigError: there is no such target, or it takes no such key or value, or lacks one.
    """
    try:
        target = pkgutil.resolve_name(node["_target_"])
    except (ImportError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}._target_={node['_target_']}: not found ({error})") from error
    except Exception as error:  # whatever a module of somebody's does while it is imported
        said = f"importing it failed ({type(error).__name__}: {' '.join(str(error).split())})"
        raise ConfigError(f"{path}._target_={node['_target_']}: {said}") from error
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # some C extensions have no signature; instantiation will tell
        return
    given = [str(key) for key in node if key not in HYDRA_KEYS]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in given:
            if key not in parameters:
                raise ConfigError(f"{path}.{key}: {node['_target_']} takes no such key{hint(key, parameters)}")
    hints = _type_hints(target)
    for key in given:
        if key in hints and not _fits(node[key], hints[key]):
            where = _origin(node, key) or f"{path}.{key}"
            lacks = "; give its _target_" if isinstance(node[key], DictConfig) else ""
            raise ConfigError(f"{where}={_shown(node[key])}: {node['_target_']} needs {_named(hints[key])}{lacks}")
    required = [
        n for n, p in parameters.items() if p.default is p.empty and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    absent, partial = set(required) - set(given), bool(node.get("_partial_"))
    if partial:
        absent -= COME_LATER.get(path, absent)
    if absent and not node.get("_args_"):
        remedy = "add to the YAML or the command line"
        if not partial and absent <= COME_LATER.get(path, set()):
            remedy = f"they come from the stage, so add {path}._partial_: true"
        raise ConfigError(f"{path}: {node['_target_']} needs {', '.join(sorted(absent))}; {remedy}")


def _check_values(path: str, node: DictConfig) -> None:
    """Make a part of plain values, so that a value it refuses is named by the key under which it was given."""
    target = pkgutil.resolve_name(node["_target_"])
    nested = any(isinstance(node[key], DictConfig) for key in node)
    cheap = dataclasses.is_dataclass(target) or getattr(target, "__module__", "").startswith(CHEAP)
    if not cheap or nested or node.get("_partial_"):
        return
    try:
        instantiate(node)
    except InstantiationException as error:
        if not isinstance(error.__cause__, ConfigError):
            raise
        said = str(error.__cause__)
        named = re.match(r"(?:\w+\.)*(\w+)(?==)", said)
        if named is None or named[1] not in node:
            raise ConfigError(said if said.startswith(f"{path}=") else f"{path}: {said}") from error
        raise ConfigError((_origin(node, named[1]) or f"{path}.{named[1]}") + said[named.end() :]) from error


def check_read(cfg: DictConfig, *, read: Collection[str]) -> None:
    """Refuse what nothing reads: no target takes it, no interpolation names it, and it is not one of ``read``.

    Hydra refuses unknown keys on the command line; those in a YAML file it adds, and they would be lost.

    Raises:
        ConfigError: naming the first such key and its neighbours.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    known = {*read, *interpolated(plain)}
    for path in _unread(plain, "", known):
        *parents, key = path.split(".")
        siblings = plain
        for parent in parents:
            siblings = siblings[parent]
        raise ConfigError(f"{path}: nothing reads this key{hint(key, [str(k) for k in siblings if str(k) != key])}")


def _targets(node: Any, path: str) -> Iterator[tuple[str, DictConfig]]:
    """Nodes with a target, each under the key at which it is given, also where others take it by interpolation."""
    if isinstance(node, DictConfig):
        if "_target_" in node:
            yield path, node
        for key in map(str, node):
            below = node[key]
            given = _origin(node, key) if isinstance(below, DictConfig | ListConfig) else None
            yield from _targets(below, given or (f"{path}.{key}" if path else key))
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
    """The key that ``key`` is an interpolation of; None for a value of its own."""
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
    is_part = getattr(hint, "__module__", "").startswith(("zoom_iqa", "torch"))  # only a mapping can make one
    if isinstance(value, DictConfig):
        return hint not in (bool, int, float, str) and (not is_part or "_target_" in value)
    if isinstance(value, ListConfig):
        return not is_part and hint not in (bool, int, float, str) and all(_fits(one, _item(hint)) for one in value)
    if hint in (int, float):
        return isinstance(value, int if hint is int else (int, float)) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    return not is_part and origin is None  # a number or text stands for no function or sequence


def _item(hint: Any) -> Any:
    """The annotation of every item of a sequence; Any where items differ or are not annotated."""
    options = tuple(option for option in get_args(hint) if option is not Ellipsis)
    return options[0] if len(options) == 1 else Any


def _named(hint: Any) -> str:
    options = get_args(hint)
    if get_origin(hint) in (Sequence, list, tuple):
        return f"a list of {_named(_item(hint))}"
    if get_origin(hint) is Literal:
        return " or ".join(map(str, options))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(_named, options))
    return "null" if hint is type(None) else getattr(hint, "__name__", str(hint))


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


def hint(key: str, valid: Collection[str]) -> str:
    """The end of a message about a name that is not valid: the closest one, and all of them."""
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


def interpolated(plain: Any) -> Iterator[str]:
    """Absolute paths of everything that interpolations name; each dot before a name is a step up."""
    for parts, value in _leaves(plain, ()):
        if isinstance(value, str):
            yield from _interpolated_by(parts, value)


def _interpolated_by(parts: tuple[str, ...], value: str) -> Iterator[str]:
    """Absolute paths of what one value names, which stands at ``parts``."""
    for dots, name in _INTERPOLATION.findall(value):
        base = parts[: len(parts) - len(dots)] if dots else ()
        yield ".".join((*base, name))
