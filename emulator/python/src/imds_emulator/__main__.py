"""``python -m imds_emulator`` is the command ``imds-emulator``."""

import os
import subprocess
import sys

from ._emulator import find_command
from ._errors import StartError


def main() -> int:
    try:
        command = [find_command(), *sys.argv[1:]]
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
