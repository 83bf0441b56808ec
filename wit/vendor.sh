#!/usr/bin/env bash
# Puts the WASI 0.2.6 packages that the worlds name into wit/deps, as they stand in a crate of the registry,
# and writes their checksums to wit/deps.sha256. A test compares the two, so that nobody edits them by hand.
#
#   wit/vendor.sh            vendor again
#   wit/vendor.sh --check    say whether wit/deps is what the crate carries
#
# The crate is one of wasmtime 36 (the last line with 0.2.6) and is used for its WIT alone.
set -euo pipefail

crate=wasmtime-wasi-http
version=36.0.20
packages=(cli clocks filesystem http io random sockets)

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
upstream=$(dirname "$manifest")/wit/deps

if [ "${1:-}" = --check ]; then
    target=$work/deps
else
    target=$wit/deps
    rm -rf "$target"
fi
mkdir -p "$target"
for package in "${packages[@]}"; do
    cp -R "$upstream/$package" "$target/$package"
done

if [ "${1:-}" = --check ]; then
    diff -r "$target" "$wit/deps" && echo "wit/deps is what $crate $version carries"
else
    (cd "$wit" && find deps -name '*.wit' | LC_ALL=C sort | xargs sha256sum) > "$wit/deps.sha256"
    echo "wit/deps: $(wc -l < "$wit/deps.sha256") files from $crate $version"
fi
