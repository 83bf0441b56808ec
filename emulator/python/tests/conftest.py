"""What the tests share."""

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import pytest

from imds_emulator import Emulator

pytest_plugins = ["pytester"]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator without the fixture of the plugin."""
    with Emulator(role="web-server", seed="python") as started:
        yield started


@pytest.fixture
def python() -> Callable[..., str]:
    """Runs a program in a Python of its own, and returns what it printed."""

    def run(program: str, **options: object) -> str:
        done = subprocess.run(  # type: ignore[call-overload]
            [sys.executable, "-c", textwrap.dedent(program)],
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
            **options,
        )
        return str(done.stdout)

    return run
