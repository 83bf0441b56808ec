#!/usr/bin/env bash
# Tests what a release has for registries, with wkg: it builds the WIT packages, publishes them to a
# registry in a folder, and fetches them from there. Then skopeo copies the OCI layouts to a registry on
# loopback, Debian's docker-registry, and wkg fetches the components and the WIT packages from there.
#
# It takes a release from a folder, as in `tests/clients/registry.sh target/dist`, or makes the part of
# one that it needs. WKG names a wkg 0.16; the default is the wkg in PATH. CI does not run this script,
# because wkg has to be compiled: `cargo install --locked wkg@0.16.1`.
dist=${1:+$(realpath "$1")}
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wkg=${WKG:-wkg}
if ! [[ $("$wkg" --version 2> /dev/null) =~ ^wkg\ 0\.16\. ]]; then
    echo "$client: not run, because wkg 0.16 is not installed; name one with WKG=FILE"
    exit 77
fi
debian_with registry docker-registry || cannot_install
command -v skopeo > /dev/null || debian skopeo > /dev/null 2>&1 || cannot_install
build

work=$clients/$client/work
rm -rf "$work"
mkdir -p "$work/local" "$work/fetched" "$work/stored"
if [ -z "$dist" ]; then
    dist=$clients/$client/dist
    xtask dist --out "$dist" --skip binaries,licences,npm,sbom > "$work/dist.log"
fi

# No configuration of this machine.
run() {
    env -i PATH="$PATH" HOME="$work" "$@"
}
wkg() {
    run "$wkg" "$@" 2>> "$work/wkg.log" || { cat "$work/wkg.log"; exit 1; }
}

cat > "$work/local.toml" <<TOML
[namespace_registries]
imds = "folder.example"
[registry."folder.example"]
type = "local"
[registry."folder.example".local]
root = "$work/local"
TOML
# The WIT packages, as wkg builds them and as a release carries them: the WIT is the same.
for folder in wit wit/wasi-0-3; do
    cp -R "$folder" "$work/package"
    version=$(sed -n 's/^package imds:credentials@\(.*\);$/\1/p' "$folder/worlds.wit")
    package=imds:credentials@$version
    (cd "$work/package" && wkg build --wit-dir . --output "$work/built.wasm" --cache "$work/cache")
    wkg publish "$work/built.wasm" --config "$work/local.toml" --cache "$work/cache"
    wkg get "$package" --config "$work/local.toml" --cache "$work/cache" --output "$work/fetched/"
    wkg get "$package" --config "$work/local.toml" --cache "$work/cache" --output "$work/fetched/$version.wasm"
    cmp "$work/built.wasm" "$work/fetched/$version.wasm"
    # A release has other bytes, because they state the version of the encoder.
    cp "$dist/imds-credentials-$version.wasm" "$work/local/imds/credentials/$version.wasm"
    wkg get "$package" --config "$work/local.toml" --cache "$work/other" --output "$work/fetched/$version.wit"
    diff "$work/fetched/imds_credentials@$version.wit" "$work/fetched/$version.wit"
    rm -rf "$work/package"
    echo "$client: $package was built, published and fetched"
done

port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
registry=127.0.0.1:$port
cat > "$work/registry.yml" <<YAML
version: 0.1
log: { accesslog: { disabled: true }, level: error }
storage: { filesystem: { rootdirectory: "$work/stored" } }
http: { addr: "$registry" }
YAML
"$clients/$client/registry/usr/bin/docker-registry" serve "$work/registry.yml" > "$work/registry.log" 2>&1 &
server=$!
trap 'kill "$server"' EXIT
for _ in $(seq 100); do
    curl --silent --noproxy '*' --output /dev/null "http://$registry/v2/" && break
    sleep 0.1
done

cat > "$work/oci.toml" <<TOML
[namespace_registries]
imds = { registry = "$registry", metadata = { preferredProtocol = "oci" } }
[registry."$registry".oci]
protocol = "http"
TOML
for layout in "$dist"/oci/imds/*; do
    name=$(basename "$layout")
    versions=$(python3 -c '
import json, sys
for manifest in json.load(open(sys.argv[1]))["manifests"]:
    print(manifest["annotations"]["org.opencontainers.image.ref.name"])' "$layout/index.json")
    for version in $versions; do
        run skopeo copy --quiet --insecure-policy --dest-tls-verify=false \
            "oci:$layout:$version" "docker://$registry/imds/$name:$version"
        wkg get "imds:$name@$version" --config "$work/oci.toml" --cache "$work/oci" --format wasm \
            --output "$work/fetched/$name.wasm" --overwrite
        case $name in
            credentials) released=imds-credentials-$version.wasm ;;
            *-wasip3) released=${name%wasip3}wasi-0-3.wasm ;;
            *) released=$name.wasm ;;
        esac
        cmp "$dist/$released" "$work/fetched/$name.wasm"
        echo "$client: imds:$name@$version was copied to a registry and fetched"
    done
done

# What wkg itself publishes of a WIT package and of a component has the manifest that the layouts have.
sed 's|preferredProtocol = "oci"|&, oci = { namespacePrefix = "wkg/" }|' "$work/oci.toml" > "$work/published.toml"
wit=$(sed -n 's/^package imds:credentials@\(.*\);$/\1/p' wit/worlds.wit)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
wkg publish "$dist/imds-credentials-$wit.wasm" --config "$work/published.toml" --cache "$work/oci"
wkg oci push --insecure "$registry" "$registry/wkg/imds/ec2-role-credentials:$version" \
    "$dist/ec2-role-credentials.wasm" > "$work/push.log"
python3 - "$registry" "$wit" "$version" <<'PYTHON'
import json, sys, urllib.request

registry, wit, version = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}

def get(repository, path):
    request = urllib.request.Request(f"http://{registry}/v2/{repository}/{path}", headers=accept)
    return json.load(opener.open(request))

def described(repository, version):
    """The manifest, with the configuration in place of its sum, and the interfaces in one order."""
    manifest = get(repository, f"manifests/{version}")
    config = get(repository, "blobs/" + manifest["config"].pop("digest"))
    del manifest["config"]["size"], config["created"]
    config["component"]["exports"].sort()
    config["component"]["imports"].sort()
    return manifest, config

ours, theirs = described("imds/credentials", wit), described("wkg/imds/credentials", wit)
assert ours == theirs, (ours, theirs)
# `wkg oci push` writes no annotations of the metadata, unlike `wkg publish`.
name = "imds/ec2-role-credentials"
ours, theirs = described(name, version), described("wkg/" + name, version)
annotations = ours[0].pop("annotations")
assert ours == theirs, (ours, theirs)
assert annotations["org.opencontainers.image.version"] == version, annotations
PYTHON
echo "$client: the layouts have the manifests that wkg writes"
