#!/usr/bin/env bash
# jco 1.35.0 (npm) gives a component that imports WASI 0.3.1 or 0.3.2 the functions of WASI 0.2, without a
# warning: it transpiles the imports to @bytecodealliance/preview2-shim, and those of WASI 0.3.0 to
# @bytecodealliance/preview3-shim. jco-transpile lists the versions of WASI 0.3 one by one, and all others match
# `wasi:clocks/*`, which is for WASI 0.2.
#
# `--map 'wasi:clocks/*=@bytecodealliance/preview3-shim/clocks#*'`, and the same for each package, mends it.
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund @bytecodealliance/jco@1.35.0
# shim VERSION: the package that the clock of this version of WASI is imported from.
shim() {
    cat > clock.wat <<WAT
(component
    (import "wasi:clocks/monotonic-clock@$1" (instance \$clock (export "now" (func (result u64)))))
    (alias export \$clock "now" (func \$now))
    (core func \$lowered (canon lower (func \$now)))
    (core module \$module
        (import "clock" "now" (func \$now (result i64)))
        (func (export "time") (result i64) call \$now))
    (core instance \$clocks (export "now" (func \$lowered)))
    (core instance \$instance (instantiate \$module (with "clock" (instance \$clocks))))
    (func (export "time") (result u64) (canon lift (core func \$instance "time"))))
WAT
    npx jco parse clock.wat --output clock.wasm
    npx jco transpile --quiet clock.wasm --out-dir out
    sed -n "s|.* from '\(@bytecodealliance/[a-z0-9-]*\)/clocks'.*|\1|p" out/clock.js
}
for version in 0.2.12 0.3.0 0.3.2; do
    found=$(shim "$version")
    echo "WASI $version: $found"
done
[ "$found" = @bytecodealliance/preview2-shim ]
