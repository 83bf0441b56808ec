#!/usr/bin/env bash
# Acts as newcomers: each gets an empty folder and what a release carries, nothing else of this
# repository, and has to reach credentials. Prints how long each took from the first command.
#
#   tests/newcomers.sh                  all
#   tests/newcomers.sh tester guest     these
#
# The release is the one in target/dist, which `cargo xtask dist` writes; DIST=FOLDER names another.
# Exit status: 0 if all reached credentials, 1 otherwise.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dist=$(realpath "${DIST:-target/dist}")
root=$PWD
newcomers=$root/tests/newcomers
# Nobody asks an address other than the emulator's.
export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9

if [ "$*" = python_tester ]; then
    needs=python with=licences,sbom
else
    needs=crates with=binaries,licences,sbom
fi
if [ ! -d "$dist/$needs" ]; then
    echo "error: $dist has no packages; \`cargo xtask dist --skip $with\` makes them" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The packages take the place of crates.io, which does not have them yet.
mkdir "$work/packages"
patch=("[patch.crates-io]")
for crate in "$dist"/crates/*.crate; do
    [ -e "$crate" ] || continue
    tar --extract --gzip --file "$crate" --directory "$work/packages"
    folder=$work/packages/$(basename "$crate" .crate)
    name=$(basename "$folder")
    patch+=("${name%-*}.path = \"$folder\"")
done

# folder NAME: makes the newcomer's folder, and enters it.
folder() {
    cp -R "$newcomers/$1" "$work/$1"
    cd "$work/$1"
    mkdir .cargo
    printf '%s\n' "${patch[@]}" > .cargo/config.toml
}

# A Rust program that embeds the host.
embedder() {
    folder embedder
    cargo run --quiet | grep '^credentials: ASIA'
}

# A Rust project that tests its client of IMDS.
tester() {
    folder tester
    cargo test --quiet
}

# An author of a guest component in Rust, who does what the page says and has the tools that it names.
guest() {
    mkdir -p "$work/guest/target" "$work/guest/tools"
    local tool path
    for tool in wac="$wac" wasmtime="$wasmtime" imds-emulator="$emulator"; do
        path=$(command -v "${tool#*=}") || { echo "error: there is no command ${tool#*=}" >&2; exit 1; }
        ln -s "$(realpath "$path")" "$work/guest/tools/${tool%%=*}"
    done
    cd "$work/guest"
    ln -s "$dist" target/dist
    node "$newcomers/page.mjs" "$root/docs/guests/rust.md" --until '## Sign a request' > page.sh
    PATH=$PWD/tools:$PATH bash page.sh | tee output
    grep --quiet '^credentials: ASIA' output
}

# Somebody who installs the commands with cargo.
commands() {
    mkdir -p "$work/commands/.cargo"
    cd "$work/commands"
    printf '%s\n' "${patch[@]}" > .cargo/config.toml
    for command in imds-emulator ec2-role-credentials imds-conformance; do
        cargo install --quiet --debug --path "$work/packages/$command-0.1.0" --root . --target-dir target
    done
    bin/ec2-role-credentials get --emulator | grep ASIA
    bin/imds-emulator run -- sh -c 'curl -sS "${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/api/token" -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60"'
    bin/imds-conformance run requested-first
}

# Somebody who tests Python code, and does what the page says.
python_tester() {
    mkdir -p "$work/python_tester/target"
    cd "$work/python_tester"
    ln -s "$dist" target/dist
    python3 "$newcomers/page.py" "$root/docs/python.md" > page.sh
    bash page.sh
}

# Somebody who tests JavaScript code, and does what the page says.
node_tester() {
    mkdir -p "$work/node_tester/target"
    cd "$work/node_tester"
    ln -s "$dist" target/dist
    node "$newcomers/page.mjs" "$root/docs/node.md" > page.sh
    bash page.sh
}

wac=${WAC:-wac}
wasmtime=${WASMTIME:-wasmtime}
emulator=${EMULATOR:-$PWD/target/debug/imds-emulator}
failed=0
for newcomer in "${@:-embedder tester guest commands python_tester node_tester}"; do
    for name in $newcomer; do
        began=$EPOCHREALTIME
        # Not as a condition, in which a failing command would not stop the newcomer.
        set +e
        (set -e; "$name")
        status=$?
        set -e
        if [ "$status" = 0 ]; then
            printf '%s: %.1f s\n' "$name" "$(bc <<< "$EPOCHREALTIME - $began")"
        else
            echo "$name: did not reach credentials" >&2
            failed=1
        fi
    done
done
exit "$failed"
