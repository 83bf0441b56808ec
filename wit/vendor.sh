#!/usr/bin/env bash
# Copies the WASI packages that the worlds name into wit/deps (0.2.6) and wit/preview/deps (0.3.0) from crates of
# the registry, and writes their checksums to wit/deps.sha256. A test verifies the checksums, so that nobody edits the
# files by hand.
#
#   wit/vendor.sh            copy the files again
#   wit/vendor.sh --check    check that the files are those in the crates
#
# The crates are used only for their WIT.
set -euo pipefail

crate=wasmtime-wasi-http

wit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# vendor VERSION FOLDER-IN-THE-CRATE FOLDER-HERE PACKAGE...
vendor() {
    local version=$1 from=$2 to=$3
    shift 3
    mkdir -p "$work/$version/src"
    touch "$work/$version/src/lib.rs"
    cat > "$work/$version/Cargo.toml" <<TOML
[package]
name = "vendor"
edition = "2024"
[dependencies]
$crate = { version = "=$version", default-features = false }
TOML
    local manifest
    manifest=$(cargo metadata --format-version 1 --manifest-path "$work/$version/Cargo.toml" |
        grep -o "\"manifest_path\":\"[^\"]*/$crate-$version/Cargo.toml\"" | cut -d'"' -f4)
    mkdir -p "$work/wit/$to"
    for package in "$@"; do
        cp -R "$(dirname "$manifest")/$from/$package" "$work/wit/$to/$package"
    done
}

# wasmtime 36 is the last release series with WASI 0.2.6.
vendor 36.0.20 wit/deps deps cli clocks filesystem http io random sockets
vendor 48.0.8 src/p3/wit/deps preview/deps cli.wit clocks.wit filesystem.wit http.wit random.wit sockets.wit

for folder in deps preview/deps; do
    if [ "${1:-}" = --check ]; then
        diff -r "$work/wit/$folder" "$wit/$folder" && echo "wit/$folder is the same as in $crate"
    else
        rm -rf "${wit:?}/$folder"
        mkdir -p "$(dirname "$wit/$folder")"
        cp -R "$work/wit/$folder" "$wit/$folder"
    fi
done
if [ "${1:-}" != --check ]; then
    (cd "$wit" && find deps preview/deps -name '*.wit' | LC_ALL=C sort | xargs sha256sum) > "$wit/deps.sha256"
    echo "$(wc -l < "$wit/deps.sha256") files from $crate"
fi
