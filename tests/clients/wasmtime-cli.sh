#!/usr/bin/env bash
# Tests the component in the wasmtime command line: a consumer composed with it signs a request, and the server
# accepts the signature. An HTTP handler composed with it answers in `wasmtime serve`.
#
# WASMTIME names a wasmtime; the default is the wasmtime in PATH. If there is none, INSTALL_WASMTIME_CLI=1
# builds one, which takes minutes.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# 48.0.0 sends requests without a Host header.
usable() {
    [[ $("$1" --version 2> /dev/null) =~ ^wasmtime\ ([0-9]+)\.([0-9.]+) ]] &&
        ((BASH_REMATCH[1] >= 48)) && [ "${BASH_REMATCH[1]}.${BASH_REMATCH[2]}" != 48.0.0 ]
}

wasmtime=${WASMTIME:-wasmtime}
if ! usable "$wasmtime"; then
    wasmtime=$clients/$client/bin/wasmtime
    if [ -n "${INSTALL_WASMTIME_CLI:-}" ] && ! [ -e "$wasmtime" ]; then
        CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$clients/$client" \
            --no-default-features --features run,serve,component-model-async,cranelift,pooling-allocator \
            wasmtime-cli@48.0.8 || cannot_install
    fi
    if ! usable "$wasmtime"; then
        echo "$client: not run, because no wasmtime after 48.0.0 is installed; name one with WASMTIME=FILE, or build one with INSTALL_WASMTIME_CLI=1"
        exit 77
    fi
fi

build
consumer=$clients/$client/consumer.wasm
mkdir -p "$clients/$client"
compose consumer-component "$consumer"
composed=$clients/$client/composed.wasm
compose handler-component "$composed"
emulated '' python3 tests/clients/hosts/s3.py python3 -B tests/clients/hosts/wasmtime_cli.py \
    "$wasmtime" "$component" "$consumer" "$composed"
