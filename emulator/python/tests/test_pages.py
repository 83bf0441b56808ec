"""The examples of the pages, word for word."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "emulator/python/README.md", ROOT / "docs/python.md"]
BLOCK = re.compile(r"(?:<!-- fails: (.*) -->\n\n)?```python\n(.*?)```", re.DOTALL)


def examples() -> "list[tuple[str, str, str]]":
    """The Python of each page, with the text that it fails with if it does."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text[: match.start(2)].count("\n") + 1
            found.append((f"{page.stem}-{line}", match[2], match[1] or ""))
    return found


@pytest.mark.parametrize(
    ("code", "fails"), [each[1:] for each in examples()], ids=[each[0] for each in examples()]
)
def test_the_example_works(tmp_path: Path, code: str, fails: str) -> None:
    is_test = "def test_" in code
    file = tmp_path / ("test_example.py" if is_test else "example.py")
    file.write_text(code, encoding="utf-8")
    command = [sys.executable, str(file)]
    if is_test:
        command = [sys.executable, "-m", "pytest", "--strict-markers", *plugin(), str(file)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=dict(os.environ, COLUMNS="200"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == bool(fails), done.stdout
    assert fails in done.stdout, done.stdout


def plugin() -> "list[str]":
    """Loads the plugin if the package is not installed, which would load it."""
    if sys.version_info >= (3, 10):
        group = list(entry_points(group="pytest11"))
    else:
        group = entry_points().get("pytest11", [])
    is_installed = any(point.name == "imds-emulator" for point in group)
    return [] if is_installed else ["-p", "imds_emulator.pytest_plugin"]
