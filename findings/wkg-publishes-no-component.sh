#!/usr/bin/env bash
# wkg 0.16.1 (crates.io) publishes WIT packages, but no component: "component package version not found in the
# Wasm binary". The error advises `--package NAMESPACE:NAME@VERSION`, which gives the same error.
#
# wkg takes the package of the component's world. wit-parser gives the world of every component the package
# `root:component`, without a version, and wkg fails on that before it looks at --package (`DecodedComponent::
# from_publishing_source_with_package` in wasm-pkg-client). `wkg oci push` takes the component, and in a registry
# that is a folder, the file can be copied to NAMESPACE/NAME/VERSION.wasm; `wkg get` then fetches it.
#
# The script compiles wkg, which takes minutes; WKG=FILE names one that is compiled already.
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
if [ -z "${WKG:-}" ]; then
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$folder" wkg@0.16.1
    WKG=$folder/bin/wkg
fi

cat > config.toml <<TOML
[namespace_registries]
example = "folder.example"
[registry."folder.example"]
type = "local"
[registry."folder.example".local]
root = "$folder"
TOML
# The smallest component.
printf '\0asm\x0d\0\x01\0' > component.wasm
"$WKG" --version
if "$WKG" publish component.wasm --config config.toml --cache cache --package example:component@1.0.0 2> error; then
    echo "wkg published the component"
    exit 1
fi
head -n 1 error
grep --quiet 'component package version not found' error
