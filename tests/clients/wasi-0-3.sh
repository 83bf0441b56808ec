#!/usr/bin/env bash
# Tests the component for WASI 0.3 in Node.js, transpiled by jco: calls are concurrent, it gets credentials
# from the emulator and notices a rotation. Node.js comes from npm, because 24 or later is needed. Then the
# component gets credentials in the wasmtime command line, which WASMTIME names.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
node_with @bytecodealliance/jco@1.35.0 @bytecodealliance/preview2-shim@0.26.1 @bytecodealliance/preview3-shim@0.7.0 node@24.21.0
wasmtime_cli
build
released ec2-role-credentials-wasi-0-3
PATH=$modules/.bin:$PATH
cp "$component" "$clients/$client/component.wasm"
agreed "$clients/$client/component.wasm" wasi-0-3
jco transpile --quiet "$clients/$client/component.wasm" --out-dir "$clients/$client/out"
cp tests/clients/hosts/wasi_0_3.mjs "$clients/$client/"
emulated '
instance.iam = { role = "the-role", lifetime = "6s", rotation = "3s", lead = "0s" }
' node "$clients/$client/wasi_0_3.mjs"
isolated_credentials "$component"
