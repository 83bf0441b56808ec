#!/usr/bin/env bash
# Tests the component in wasmtime-py: it gets credentials from the emulator and notices a rotation. A consumer
# composed with it signs a request, and the server accepts the signature.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_with wasmtime==50.0.1
build
released ec2-role-credentials
emulated '
instance.iam = { role = "the-role", lifetime = "6s", rotation = "3s", lead = "0s" }
' "$python" tests/clients/hosts/wasmtime_py.py "$component"

composed=$clients/$client/composed.wasm
compose consumer-component "$composed"
emulated '' "$python" tests/clients/hosts/s3.py "$python" tests/clients/hosts/composed.py "$composed"
