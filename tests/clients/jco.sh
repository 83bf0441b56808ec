#!/usr/bin/env bash
# Tests the component in Node.js, transpiled by jco: it gets credentials from the emulator and notices a
# rotation. A consumer composed with it signs a request, and the server accepts the signature.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
node_with @bytecodealliance/jco@1.35.0 @bytecodealliance/preview2-shim@0.26.1 node@20.20.2
PATH=$modules/.bin:$PATH
build
released ec2-role-credentials
agreed "$component" component
"$modules/.bin/jco" transpile --quiet "$component" --out-dir "$clients/$client/out"
cp tests/clients/hosts/jco.mjs "$clients/$client/"
emulated '
instance.iam = { role = "the-role", lifetime = "6s", rotation = "3s", lead = "0s" }
' node "$clients/$client/jco.mjs"

composed=$clients/$client/composed.wasm
compose consumer-component "$composed"
"$modules/.bin/jco" transpile --quiet "$composed" --out-dir "$clients/$client/composed"
cp tests/clients/hosts/composed.mjs "$clients/$client/"
emulated '' python3 tests/clients/hosts/s3.py node "$clients/$client/composed.mjs"
