"""A config as a tree in the terminal, in the order in which it is composed."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.tree import Tree

from zoom_iqa.base.printable import printable


def print_tree(cfg: DictConfig) -> None:
    """Print a resolved config to stderr."""
    tree = Tree("config", guide_style="dim")
    _grow(tree, OmegaConf.to_container(cfg, resolve=True))
    Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(tree)


def _grow(tree: Tree, node: Any) -> None:
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if isinstance(value, dict | list) and value:
            _grow(tree.add(printable(str(key))), value)
        else:
            tree.add(printable(f"{key}: {'null' if value is None else value}"))
