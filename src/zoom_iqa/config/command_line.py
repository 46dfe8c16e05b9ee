"""Command lines of evaluations and checks: several benchmarks at once, one's own labels, settings by a policy's size.

Everything is decided from what Hydra reads of the arguments, never from their text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.composition import composed, parsed, prefix_of
from zoom_iqa.config.location import conf_dir
from zoom_iqa.policy.folder import most_pixels

FOLDER_FLAG = "--config-dir"
OWN = "manifest"
"""The benchmark that is made of ``manifest=FILE``."""
SMALL_HIDDEN_SIZE = 1024
CHOICES = {"split": "split", "pairs": "rule"}
"""Groups below conf/benchmark, and the key of a benchmark that each fills."""


def overrides_of(arguments: Sequence[str]) -> list[str]:
    """The arguments as overrides: ``--config-dir FOLDER`` adds a folder of configs of one's own, as in training.

    Raises:
        ConfigError: another flag, or no such folder.
    """
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        flag, equals, folder = argument.partition("=")
        if not argument.startswith("-"):
            if "=" not in argument and not argument.startswith("~"):
                raise ConfigError(f"{argument}: give key=value, such as benchmark=koniq (--help)")
            overrides.append(argument)
        elif flag == FOLDER_FLAG:
            overrides.append(search_in(folder if equals else next(rest, "")))
        else:
            raise ConfigError(f"{flag}: there is no such flag; give key=value, such as benchmark=koniq (--help)")
    return overrides


def search_in(folder: str) -> str:
    """The override that adds a folder of configs of one's own to conf/.

    Raises:
        ConfigError: there is no such folder, or it holds no config.
    """
    if not Path(folder).is_dir():
        raise ConfigError(f"{FOLDER_FLAG}={folder}: there is no such folder")
    if not any(Path(folder).rglob("*.yaml")):
        raise ConfigError(f"{FOLDER_FLAG}={folder}: it holds no config, such as task/NAME.yaml; name one that does")
    address = f"file://{Path(folder).absolute()}".replace("\\", "\\\\").replace("'", "\\'")
    return f"hydra.searchpath=['{address}']"


def with_benchmarks(overrides: Sequence[str]) -> list[str]:
    """Overrides with ``benchmark=a,b`` and ``manifest=FILE`` as benchmarks beside each other; no sweep.

    ``benchmark.KEY=VALUE`` and ``benchmark/split=CHOICE`` are of every benchmark named.

    Raises:
        ConfigError: ``benchmark`` is given without a name, or another key has several values.
    """
    given = parsed(overrides)
    for override in given:
        if override.is_sweep_override() and not _is_of(override, "benchmark"):
            line = str(override.input_line)
            key, _, values = line.partition("=")
            raise ConfigError(
                f"{line}: there are no multiruns here; several values are a list, as in {key}=[{values}], and one with "
                f"a comma is quoted, as in '{key}=\"{values}\"'"
            )
    names = list(dict.fromkeys(name for override in given for name in _named(override)))
    elsewhere = [str(override.input_line) for override in given if _is_of(override, "hydra.searchpath")]
    resolved = [f"+benchmark@benchmarks.{name}={name}" for name in names]
    for override in given:
        resolved.extend(_for_each(override, names, elsewhere))
    return resolved


def with_policy(root: str, overrides: Sequence[str]) -> list[str]:
    """Overrides with the choice of ``policy`` that fits what ``policy.path`` names, unless one is made.

    A policy that learned from smaller images than that choice shows is shown images of the size it knows, unless
    ``policy.max_pixels`` is given.
    """
    given = parsed(overrides)
    chosen = list(overrides)
    if not any(_is_of(override, "policy") for override in given):
        chosen.append(f"policy={_policy_choice(str(composed(root, overrides).policy.path))}")
    if not any(_is_of(override, "policy.max_pixels") for override in given):
        policy = composed(root, chosen).policy
        if _is_below(_own_bound(str(policy.path)), policy.max_pixels):
            chosen.append("policy.max_pixels=null")
    return chosen


def with_views(overrides: Sequence[str]) -> list[str]:
    """Overrides with the probes that ``views=[image,caption]`` asks.

    Raises:
        ConfigError: there is no such view, or the image is not among them.
    """
    given = next((override.value() for override in parsed(overrides) if _is_of(override, "views")), ["image"])
    views = given if isinstance(given, list) else [given]
    if "image" not in views or not set(views) <= {"image", "caption"}:
        raise ConfigError(f"views={given}: give [image], or [image,caption]: words are asked about after the image")
    return [*overrides, "+probes=views"] if "caption" in views else list(overrides)


def benchmark_names() -> list[str]:
    """The names of conf/benchmark/*.yaml."""
    return sorted(path.stem for path in (conf_dir() / "benchmark").glob("*.yaml"))


def require_benchmarks(cfg: DictConfig, usage: str) -> None:
    """Pass a config that names a benchmark.

    Raises:
        ConfigError: it names none.
    """
    if not cfg.benchmarks:
        names = ", ".join(name for name in benchmark_names() if name != OWN)
        raise ConfigError(f"no benchmark is given; usage: {usage}; manifest=FILE, or benchmark= one or more of {names}")


def require_different(datasets: Mapping[str, str]) -> None:
    """Pass benchmarks with the names of their data sets, under which predictions are kept.

    Raises:
        ConfigError: two have one data set's name.
    """
    for name, dataset in datasets.items():
        if next(first for first, same in datasets.items() if same == dataset) != name:
            raise ConfigError(f"benchmark={name}: {dataset} is named twice; evaluate one after the other")


def _is_of(override: Override, key: str) -> bool:
    return override.key_or_group == key and override.package is None and not override.is_delete()


def _named(override: Override) -> Iterator[str]:
    """The benchmarks that an override asks for."""
    if _is_of(override, OWN) and override.value() is not None:
        yield OWN
    if not _is_of(override, "benchmark"):
        return
    value = override.value()
    for name in value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else [value]:
        if name in (None, ""):
            raise ConfigError(f"benchmark is given without a name; use one or more of {', '.join(benchmark_names())}")
        yield name.text if isinstance(name, QuotedString) else str(name)


def _for_each(override: Override, names: Sequence[str], elsewhere: Sequence[str]) -> list[str]:
    """An override about the benchmarks once for each of them; another as it is."""
    key, line = override.key_or_group, str(override.input_line)
    _, equals, value = line.partition("=")  # no key holds the sign
    if _is_of(override, "benchmark"):
        return []  # said already
    for choice, place in CHOICES.items():
        if _is_of(override, f"benchmark/{choice}"):
            taking = [name for name in names if _takes(name, place, elsewhere)]
            if names and not taking:
                raise ConfigError(f"{line}: {', '.join(names)} has no such choice; leave it out")
            return [f"benchmark/{choice}@benchmarks.{name}.{place}={value}" for name in taking]
    if key.startswith("benchmark."):
        prefix = prefix_of(override)
        return [f"{prefix}benchmarks.{name}.{key.removeprefix('benchmark.')}{equals}{value}" for name in names]
    return [line]


def _takes(name: str, place: str, elsewhere: Sequence[str]) -> bool:
    """Whether a benchmark leaves it to a choice: the splits of images made on the fly are none."""
    try:
        return place in composed(f"benchmark/{name}", elsewhere).benchmark
    except HydraException:  # there is no such benchmark, which is said when all are composed
        return True


def _own_bound(path: str) -> int | None:
    try:
        return most_pixels(Path(path))
    except (OSError, ValueError, TypeError, AttributeError):  # loading it says what is wrong
        return None


def _is_below(bound: int | None, shown: Any) -> bool:
    return bound is not None and isinstance(shown, int) and bound < shown


def _policy_choice(path: str) -> str:
    """conf/policy for what ``path`` names: tiny for a folder that holds a small model, else that of a large one."""
    try:
        values = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        hidden_size = values.get("text_config", values)["hidden_size"]
    except (OSError, ValueError, LookupError, AttributeError, TypeError):  # loading it says what is wrong
        return "qwen2_5_vl_7b"
    return "tiny" if isinstance(hidden_size, int) and hidden_size < SMALL_HIDDEN_SIZE else "qwen2_5_vl_7b"
