#!/usr/bin/env bash
# Tests the packages for npm, with the AWS SDK for JavaScript v3, node:test, Vitest, Jest and TypeScript:
# the emulator's JavaScript API, the component, their types, and the examples of docs/node.md. It packs
# the command of this workspace or, as in `tests/clients/npm-package.sh target/dist/npm`, takes the
# packages from a folder. With BLESS=1 it rewrites emulator/npm/schema.d.ts.
packages=${1:+$(realpath "$1")}
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
node_with node@20.20.2 @aws-sdk/client-sts@3.1177.0 @bytecodealliance/preview2-shim@0.26.1 \
    @smithy/credential-provider-imds@4.5.2 @types/node@20.19.43 jest@30.5.2 json-schema-to-typescript@16.0.0 \
    typescript@5.9.3 vitest@4.1.12
PATH=$modules/.bin:$PATH
build
root=$PWD
work=$clients/$client
if [ -z "$packages" ]; then
    packages=$work/packages
    command=$work/imds-emulator
    # Without debugging information, of which a release has none, packing takes half the time.
    strip -o "$command" target/debug/imds-emulator || cp target/debug/imds-emulator "$command"
    rm -rf "$packages"
    xtask npm --unoptimised --out "$packages" --command "$(node -p '`${process.platform}-${process.arch}`')=$command" > /dev/null
fi
rm -rf "$modules/@imds-credentials"
npm install --silent --no-save --no-audit --no-fund --prefer-offline --prefix "$work" "$packages"/*.tgz
cp tests/clients/npm/* "$work"
cd "$work"

# No test asks an address other than that of its emulator.
run() {
    env -i PATH="$PATH" HOME=/nonexistent NODE_NO_WARNINGS=1 AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9 "$@"
}

if [ -n "${BLESS:-}" ]; then
    run node schema.mjs > "$root/emulator/npm/schema.d.ts"
else
    run node schema.mjs | diff "$root/emulator/npm/schema.d.ts" - ||
        { echo "$client: the types differ; BLESS=1 $0 rewrites them"; exit 1; }
fi
run node --test --test-reporter=spec emulator.test.mjs role.test.mjs
run vitest run --root . vitest.test.ts
run jest --rootDir . jest.test.cjs
# Its third test must fail, because it expects what does not hold.
! run env FAILS=1 jest --rootDir . jest.test.cjs 2> failing || exit 1
grep --quiet 'FAILS  {"min_requests"' failing
# Both module systems have the same types.
cp types.mts types.cts
tsc=(tsc --noEmit --strict --target es2022 --lib es2022 --types node)
"${tsc[@]}" --module nodenext types.mts types.cts role-types.mts
node "$root/tests/newcomers/page.mjs" "$root/docs/node.md" --installed > page.sh
run bash page.sh
