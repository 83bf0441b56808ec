#!/usr/bin/env bash
# Copies the WASI packages that the worlds name into wit/deps (0.2.12) and wit/wasi-0-3/deps (0.3.0) from a crate of
# the registry, and writes their checksums to wit/deps.sha256. A test verifies the checksums, so that nobody edits the
# files by hand.
#
#   wit/vendor.sh            copy the files again
#   wit/vendor.sh --check    check that the files are those in the crates
#
# The crate is used only for its WIT. docs/releasing.md says why these versions.
set -euo pipefail

crate=wasmtime-wasi-http
version=48.0.8

wit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/src"
touch "$work/src/lib.rs"
cat > "$work/Cargo.toml" <<TOML
[package]
name = "vendor"
edition = "2024"
[dependencies]
$crate = { version = "=$version", default-features = false }
TOML
manifest=$(cargo metadata --format-version 1 --manifest-path "$work/Cargo.toml" |
    grep -o "\"manifest_path\":\"[^\"]*/$crate-$version/Cargo.toml\"" | cut -d'"' -f4)
mkdir -p "$work/wit/wasi-0-3"
cp -R "$(dirname "$manifest")/wit/deps" "$work/wit/deps"
cp -R "$(dirname "$manifest")/src/p3/wit/deps" "$work/wit/wasi-0-3/deps"

for folder in deps wasi-0-3/deps; do
    if [ "${1:-}" = --check ]; then
        diff -r "$work/wit/$folder" "$wit/$folder" && echo "wit/$folder is the same as in $crate"
    else
        rm -rf "${wit:?}/$folder"
        mkdir -p "$(dirname "$wit/$folder")"
        cp -R "$work/wit/$folder" "$wit/$folder"
    fi
done
if [ "${1:-}" != --check ]; then
    (cd "$wit" && find deps wasi-0-3/deps -name '*.wit' | LC_ALL=C sort | xargs sha256sum) > "$wit/deps.sha256"
    echo "$(wc -l < "$wit/deps.sha256") files from $crate"
fi
