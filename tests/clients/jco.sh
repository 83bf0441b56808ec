#!/usr/bin/env bash
# The component runs in Node.js, transpiled by jco: it gets credentials from the emulator, and sees a
# rotation.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
node_with @bytecodealliance/jco@1.35.0 @bytecodealliance/preview2-shim@0.26.1
component=$(component_wasm)
"$modules/.bin/jco" transpile --quiet "$component" --out-dir "$clients/$client/out"
cp tests/clients/hosts/jco.mjs "$clients/$client/"
emulated '
instance.iam = { role = "the-role", lifetime = "6s", rotation = "3s", lead = "0s" }
' node "$clients/$client/jco.mjs"
