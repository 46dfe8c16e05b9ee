"""The origin of a run: a command that can be typed again, and the commit of this package alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

from zoom_iqa.base.provenance import commit, provenance


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@x", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_command_is_quoted_as_a_shell_reads_it() -> None:
    facts = provenance("zoom_iqa.train", ["+experiment=quickstart", "name=a b"])
    assert facts["command"] == "python -m zoom_iqa.train +experiment=quickstart 'name=a b'"
    assert facts["working_directory"] == str(Path.cwd())
    assert facts["packages"]["torch"].startswith("2.")
    assert "pytest" not in facts["packages"]


def test_a_commit_says_whether_files_differ_from_it(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert commit(package) is None  # no checkout
    git(tmp_path, "init", "-q")
    assert commit(package) is None  # a checkout of something else, in which the package lies
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "m")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    (package / "untracked.py").write_text("")
    assert commit(package) == head
    (package / "__init__.py").write_text("x = 1\n")
    assert commit(package) == f"{head}+changes"
