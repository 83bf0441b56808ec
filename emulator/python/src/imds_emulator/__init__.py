"""An emulator of the EC2 Instance Metadata Service (IMDS), for tests.

>>> from imds_emulator import Emulator
>>> with Emulator(role="web-server") as imds:
...     imds.url.startswith("http://127.0.0.1:")
True
"""

from ._control import Control, Fault, Preset
from ._emulator import Emulator, find_command
from ._errors import AdminError, EmulatorError, ExpectationError, StartError
from ._values import Exchange, Rule, Step, Verdict

__all__ = [
    "AdminError",
    "Control",
    "Emulator",
    "EmulatorError",
    "Exchange",
    "ExpectationError",
    "Fault",
    "Preset",
    "Rule",
    "StartError",
    "Step",
    "Verdict",
    "find_command",
]
