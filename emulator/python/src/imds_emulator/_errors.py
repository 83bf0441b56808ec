"""What can go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._values import Verdict


class EmulatorError(Exception):
    """The emulator did not do what it was asked for. The subclasses say why."""


class StartError(EmulatorError):
    """The emulator cannot be found, or did not start. The message has what it printed."""


class AdminError(EmulatorError):
    """The admin API cannot be reached, or rejected a request."""

    def __init__(self, message: str, status: int | None = None, field: str | None = None):
        super().__init__(message)
        #: The status of the response, or None if there was no response.
        self.status = status
        #: The field of the request that has the invalid value, such as ``fault.code``.
        self.field = field


class ExpectationError(AssertionError):
    """Assertions about the requests do not hold. The message is a report of all of them."""

    def __init__(self, verdicts: Sequence[Verdict]):
        self.verdicts = list(verdicts)
        failed = sum(not verdict.holds for verdict in self.verdicts)
        what = (
            "assertion about the requests does"
            if failed == 1
            else "assertions about the requests do"
        )
        lines = [f"{failed} {what} not hold", *(str(verdict) for verdict in self.verdicts)]
        super().__init__("\n".join(lines))
