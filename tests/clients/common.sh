# What the scripts beside this one share. They are run from anywhere, work in target/clients, and
# exit with 0 if the client got what it asked for, with 1 if not, and with 77 if it cannot be
# installed here.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
clients=$PWD/target/clients
client=$(basename "$0" .sh)

cannot_install() {
    echo "$client: not run, because it cannot be installed here"
    exit 77
}

# python_with PACKAGE...: a Python of its own for this client, in $python.
python_with() {
    python=$clients/$client/bin/python
    if ! [ -e "$clients/$client/installed" ]; then
        python3 -m venv "$clients/$client" || cannot_install
        "$python" -m pip install --quiet --disable-pip-version-check "$@" || cannot_install
        touch "$clients/$client/installed"
    fi
}

# emulated CONFIG COMMAND...: runs a command that is pointed at an emulator, without anything of the
# machine's own configuration and without other sources of credentials.
emulated() {
    local config=$1
    shift
    cargo build --quiet --package imds-emulator
    printf '%s\n' "$config" > "$clients/$client.toml"
    env -i PATH="$PATH" HOME=/nonexistent \
        target/debug/imds-emulator run --config "$clients/$client.toml" -- "$@"
}

# node_with PACKAGE...: packages of npm for this client; $modules is where they are.
node_with() {
    modules=$clients/$client/node_modules
    command -v node > /dev/null && command -v npm > /dev/null || cannot_install
    if ! [ -e "$clients/$client/installed" ]; then
        mkdir -p "$clients/$client"
        printf '{"private": true, "type": "module"}\n' > "$clients/$client/package.json"
        npm install --silent --no-audit --no-fund --prefix "$clients/$client" "$@" || cannot_install
        touch "$clients/$client/installed"
    fi
}

# component_wasm: the path of the component, where the host's build leaves it.
component_wasm() {
    cargo build --quiet >&2
    echo "$PWD/target/component/wasm32-unknown-unknown/component/ec2_role_component.wasm"
}

# agreed COMPONENT NAME: what jco reads off a component is what the golden files of that name say.
agreed() {
    local golden=tests/golden/$2 wit
    wit=$("$modules/.bin/jco" wit "$1")
    for kind in import export; do
        sed -n "s/^  $kind \(.*\);/\1/p" <<< "$wit" | LC_ALL=C sort | diff "$golden.${kind}s.txt" -
    done
    [ "$(wc -c < "$1")" -le "$(< "$golden.size.txt")" ] || { echo "$client: $1 is too large"; exit 1; }
}
