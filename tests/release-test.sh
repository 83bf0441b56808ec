#!/usr/bin/env bash
# Tests what a release carries for Linux: archives, packages for Debian and images have commands that
# run, those for arm64 with QEMU, without anything else of this machine. For use before a release, after
# `cargo xtask dist --targets x86_64-unknown-linux-musl,aarch64-unknown-linux-musl`:
#
#   tests/release-test.sh target/dist
#
# Needs root or user namespaces, dpkg-deb, python3, and for images skopeo and umoci.
set -euo pipefail
dist=$(realpath "${1:?name the folder of the release}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9
declare -A debian=([x86_64-unknown-linux-musl]=amd64 [aarch64-unknown-linux-musl]=arm64)
declare -A emulator=()
[ "$(uname -m)" = x86_64 ] || emulator[amd64]="qemu-x86_64-static"
[ "$(uname -m)" = aarch64 ] || emulator[arm64]="qemu-aarch64-static"

fail() {
    echo "$*" >&2
    exit 1
}

# within ROOT ARCHITECTURE PATH ARGUMENT...: runs a command with another root folder, and as root, in a
# network that has a loopback interface only.
within() {
    local root=$1 qemu=${emulator[$2]-}
    shift 2
    if [ -n "$qemu" ]; then
        cp "$(command -v "$qemu")" "$root/qemu"
        set -- /qemu "$@"
    fi
    # shellcheck disable=SC2016
    unshare --user --map-root-user --net bash -c 'ip link set lo up && exec chroot "$@"' bash "$root" "$@"
}

# has_version ROOT ARCHITECTURE PATH
has_version() {
    local version
    version=$(within "$@" --version)
    [[ $version == "$(basename "$3") "* ]] || fail "$3 in $1 prints \"$version\""
    echo "$3 for $2: $version"
}

for target in "${!debian[@]}"; do
    archive=$dist/imds-credentials-$target.tar.gz architecture=${debian[$target]}
    [ -e "$archive" ] || continue
    mkdir "$work/$target"
    tar -xzf "$archive" -C "$work/$target" --strip-components 1
    for name in ec2-role-credentials imds-conformance imds-emulator; do
        has_version "$work/$target" "$architecture" "/$name"
        for file in "man/$name.1" "completions/$name.bash" LICENSE-MIT; do
            [ -s "$work/$target/$file" ] || fail "$archive has no $file"
        done
        for package in "$dist/debian/$name"_*"_$architecture.deb"; do
            dpkg-deb --extract "$package" "$work/$name-$architecture"
            has_version "$work/$name-$architecture" "$architecture" "/usr/bin/$name"
            for file in "man/man1/$name.1.gz" "bash-completion/completions/$name" "doc/$name/copyright"; do
                [ -s "$work/$name-$architecture/usr/share/$file" ] || fail "$package has no $file"
            done
        done
    done
done

# The GitHub Action takes the commands from the archive of the release that it is named by.
archive=imds-credentials-$(uname -m)-unknown-linux-musl.tar.gz
if [ -e "$dist/$archive" ]; then
    release=$work/web/owner/name/releases/download/v0
    mkdir -p "$release" "$work/runner"
    cp "$dist/$archive" "$release"
    python3 -u -m http.server --bind 127.0.0.1 --directory "$work/web" 0 > "$work/server" 2>&1 &
    server=$!
    trap 'kill "$server"; rm -rf "$work"' EXIT
    until port=$(grep -oP 'port \K\d+' "$work/server"); do sleep 0.1; done
    # shellcheck disable=SC2016
    env PATH=/usr/local/bin:/usr/bin:/bin RUNNER_TEMP="$work/runner" GITHUB_OUTPUT=/dev/null GITHUB_STEP_SUMMARY=/dev/null \
        GITHUB_SERVER_URL="http://127.0.0.1:$port" IMDS_REPOSITORY=owner/name IMDS_REF=v0 \
        IMDS_RUN='curl -sSf -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" "${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/api/token" > /dev/null
            command -v imds-emulator' "$(dirname "${BASH_SOURCE[0]}")/action.sh" | grep "$work/runner/imds/bin/imds-emulator"
    echo "the GitHub Action: uses the archive"
fi

if ! command -v skopeo > /dev/null || ! command -v umoci > /dev/null; then
    echo "the images were not read, because skopeo or umoci is missing"
    exit 77
fi

# The command of an image with its variables, as a container engine starts it; then a request from
# outside the root folder, and one with the command in it.
# shellcheck disable=SC2016
serve='
ip link set lo up
chroot=$(command -v chroot)
eval "env -i $VARIABLES $chroot $ROOT $COMMAND" > /dev/null &
for _ in {1..100}; do
    status=$(curl -sS -m 5 -o /dev/null -w "%{http_code}" -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" \
        "http://127.0.0.1:1338/latest/api/token" 2> /dev/null) && break
    sleep 0.2
done
echo "$status"
eval "env -i $VARIABLES $chroot $ROOT $COMMAND ctl health"
kill %1
'
for image in "$dist"/images/*.tar; do
    name=$(basename "$image" .tar)
    for architecture in $(skopeo inspect --raw "oci-archive:$image" |
        python3 -c 'import json, sys; [print(m["platform"]["architecture"]) for m in json.load(sys.stdin)["manifests"]]'); do
        layout=$work/$name-$architecture-layout bundle=$work/$name-$architecture-bundle
        skopeo --override-arch "$architecture" copy --quiet "oci-archive:$image" "oci:$layout:image"
        bytes=$(cat "$layout"/blobs/sha256/* | wc -c)
        echo "image $name for $architecture: $bytes bytes"
        if [ "$name" = imds-emulator ]; then
            [ "$bytes" -le 15000000 ] || fail "the image of the emulator is larger than 15 MB"
        fi
        umoci unpack --rootless --image "$layout:image" "$bundle" > /dev/null
        has_version "$bundle/rootfs" "$architecture" "/usr/local/bin/$name"
        [ "$name" = imds-emulator ] || continue
        settings() {
            python3 -c 'import json, shlex, sys; print(shlex.join(json.load(sys.stdin)["process"][sys.argv[1]]))' \
                "$1" < "$bundle/config.json"
        }
        command=$(settings args)
        [ -z "${emulator[$architecture]-}" ] || command="/qemu /usr/local/bin/$command"
        answer=$(ROOT=$bundle/rootfs VARIABLES=$(settings env) COMMAND=$command \
            unshare --user --map-root-user --net bash -c "$serve")
        [[ $answer == 200* ]] || fail "the image for $architecture answered: $answer"
        echo "image $name for $architecture: issues a token"
    done
done
echo "the release: passed"
