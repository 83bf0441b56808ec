#!/usr/bin/env bash
# componentize-js 0.23.0 (npm) cannot read a WIT file as it is installed today: "No such file or directory (os error
# 44)", although the file exists. It reads the file in a component that @bytecodealliance/preview2-shim runs, which it
# gets through jco and does not depend on by itself. From 0.26 on, that package gives components no files unless its
# caller allows it. With preview2-shim 0.25.0 beside it, the same command works.
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

echo 'package example:clock; world clock { export now: func() -> u64; }' > clock.wit
echo 'export function now() { return BigInt(Date.now()); }' > clock.js
componentize() {
    npx componentize-js clock.js --wit clock.wit --world-name clock --out clock.wasm > output 2>&1
}
# version: that of the shim.
version() {
    node -p 'require("./node_modules/@bytecodealliance/preview2-shim/package.json").version'
}
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund @bytecodealliance/componentize-js@0.23.0 @bytecodealliance/preview2-shim@0.26.1
if componentize; then
    echo "it works with preview2-shim $(version)"
    exit 1
fi
echo "with preview2-shim $(version): $(grep --only-matching 'No such file or directory.*' output | head -n 1)"
grep --quiet 'os error 44' output
npm install --silent --no-audit --no-fund @bytecodealliance/preview2-shim@0.25.0
componentize
echo "with preview2-shim $(version): $(wc -c < clock.wasm) bytes"
