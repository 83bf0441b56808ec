#!/usr/bin/env bash
# Tests the Python package of the emulator with boto3: the module, the pytest plugin, the examples of
# its pages and its types. It installs a wheel, made of the command of this workspace or, as in
# `tests/clients/python-package.sh target/dist/python`, from a folder.
wheels=${1:+$(realpath "$1")}
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with boto3==1.44.5 hatchling==1.33.0 mypy==2.4.1 pytest==9.2.0 pytest-xdist==3.8.0 time-machine==3.6.0
build
if [ -z "$wheels" ]; then
    wheels=$clients/$client/wheels
    rm -rf "$wheels"
    xtask wheels --out "$wheels" target/debug/imds-emulator
fi
"$python" -m pip install --quiet --disable-pip-version-check --no-index --force-reinstall \
    --find-links "$wheels" imds-emulator
unset IMDS_EMULATOR
export PYTHONDONTWRITEBYTECODE=1
cd emulator/python
"$python" -m pytest --quiet --numprocesses 4 -p no:cacheprovider tests
"$python" -m mypy --cache-dir "$clients/$client/mypy" --python-executable "$python" src tests
