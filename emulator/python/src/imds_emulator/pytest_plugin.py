"""The fixture ``imds`` for pytest: an emulator for each test that asks for it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest

from ._emulator import Emulator
from ._errors import EmulatorError

_MARKER = (
    "imds(config=..., verify=[...], **options): how to start the emulator of the fixture `imds` (the "
    "arguments of `imds_emulator.Emulator`), and assertions that must hold at the end of the test"
)
_EXCHANGES = 20


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def imds(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Generator[Emulator, None, None]:
    """An IMDS emulator of this test's own. AWS SDKs use it, and no other source of credentials.

    ``@pytest.mark.imds(config=..., verify=["no_imdsv1"])`` configures it. A test fails if an
    assertion of ``verify`` or ``imds.expect(...)`` does not hold at its end.
    """
    options: dict[str, Any] = {}
    verify: list[Any] = []
    # The marker that is closest to the test comes first, and takes precedence.
    for marker in request.node.iter_markers("imds"):
        if marker.args:
            raise pytest.UsageError(
                f"the marker `imds` has the positional argument {marker.args[0]!r}; it accepts keyword "
                "arguments only, such as config={...} and verify=[...]"
            )
        asserted = marker.kwargs.get("verify", [])
        verify += asserted if isinstance(asserted, (list, tuple)) else [asserted]
        options = {
            **{key: value for key, value in marker.kwargs.items() if key != "verify"},
            **options,
        }
    restore_sessions = _forget_sessions()
    try:
        emulator = Emulator(**options)
    except TypeError as error:
        raise pytest.UsageError(f"the marker `imds`: {error}") from error
    try:
        for name, value in emulator.variables.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        emulator.expect(*verify)
        yield emulator
    finally:
        emulator.stop()
        restore_sessions()


def _forget_sessions() -> Any:
    """Makes `boto3.client(...)` start a new session, because the default session keeps the credentials
    of an earlier test. Returns what restores the old one.
    """

    def default() -> Any:
        return getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)

    def set_default(session: Any) -> None:
        if "boto3" in sys.modules:
            sys.modules["boto3"].DEFAULT_SESSION = session  # type: ignore[attr-defined]

    before = default()
    set_default(None)
    return lambda: set_default(before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, None]:
    """Checks the expectations as a part of the test, so that the test is the one that fails."""
    outcome = yield
    emulator = getattr(item, "funcargs", {}).get("imds")
    if not isinstance(emulator, Emulator):
        return
    error = outcome.excinfo[1] if outcome.excinfo else None
    if isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception)):
        return
    if error is None:
        try:
            emulator.check_expectations()
        except (AssertionError, EmulatorError) as problem:
            # Without a traceback, which would show this plugin only.
            error = pytest.fail.Exception(str(problem), pytrace=False)
            outcome.force_exception(error)
    if error is not None:
        try:
            exchanges = emulator.journal(limit=_EXCHANGES)
        except EmulatorError as problem:
            item.add_report_section("call", "IMDS", str(problem))
        else:
            requests = "\n".join(map(str, exchanges)) or "no requests"
            item.add_report_section("call", f"IMDS (the newest {_EXCHANGES} requests)", requests)
