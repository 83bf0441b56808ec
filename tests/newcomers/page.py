"""Prints a shell script that does what a page in Markdown says, word for word: its commands in `sh`, and
its examples in `python`, each as a file of its own. A comment `<!-- fails: TEXT -->` before an example
says that it fails with that text. After each block of commands, the script prints the time since its start.
"""

import re
import shlex
import sys
from pathlib import Path

BLOCK = re.compile(r"(?:<!-- fails: (.*) -->\n\n)?```(sh|python)\n(.*?)```", re.DOTALL)

print("set -euo pipefail\nbegan=$EPOCHREALTIME")
for number, (fails, language, code) in enumerate(
    BLOCK.findall(Path(sys.argv[1]).read_text(encoding="utf-8")), 1
):
    if language == "sh":
        print(code)
        print("printf 'after %.1f s\\n' \"$(bc <<< \"$EPOCHREALTIME - $began\")\"")
        continue
    is_test = "def test_" in code
    name = f"test_{number}.py" if is_test else f"example_{number}.py"
    print(f"cat > {name} <<'PYTHON'\n{code}PYTHON")
    run = f"pytest -q {name}" if is_test else f"python3 {name}"
    if fails:
        print(f"if {run} > output; then echo '{name} passes'; exit 1; fi")
        print(f"grep --fixed-strings {shlex.quote(fails)} output")
    else:
        print(run)
