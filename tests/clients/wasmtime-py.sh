#!/usr/bin/env bash
# The component runs in wasmtime-py: it gets credentials from the emulator, and sees a rotation.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with wasmtime==50.0.1
component=$(component_wasm)
emulated '
instance.iam = { role = "the-role", lifetime = "6s", rotation = "3s", lead = "0s" }
' "$python" tests/clients/hosts/wasmtime_py.py "$component"
