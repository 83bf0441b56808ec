#!/usr/bin/env bash
# A component that componentize-js 0.23.0 (npm) makes without its feature `clocks` has a clock that stands still: each
# call of Date.now() returns the time at which the component was built. Its README says that timers panic without the
# feature, and nothing about dates. A signature with AWS's Signature Version 4 contains the time, so AWS refuses it
# some minutes after the build. Such a component gets the time as an argument, or keeps the feature.
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund @bytecodealliance/componentize-js@0.23.0 \
    @bytecodealliance/preview2-shim@0.25.0 @bytecodealliance/jco@1.35.0
echo 'package example:clock; world clock { export now: func() -> u64; }' > clock.wit
echo 'export function now() { return BigInt(Date.now()); }' > clock.js
npx componentize-js clock.js --wit clock.wit --world-name clock --out clock.wasm \
    --disable stdio random clocks http fetch-event
npx jco transpile --quiet clock.wasm --out-dir out
sleep 5
node --input-type=module --eval '
    import { now } from "./out/clock.js";
    import { setTimeout } from "node:timers/promises";
    const first = now();
    await setTimeout(2000);
    const second = now();
    const behind = Date.now() - Number(second);
    console.log(`two calls, 2 s apart: ${second - first} ms; behind the real time by at least 7 s: ${behind >= 7000}`);
    process.exitCode = second - first < 1000n && behind >= 7000 ? 0 : 1;'
