#!/usr/bin/env bash
# A handler of HTTP requests runs in wasmCloud's `wash dev`, composed with the component and beside it, and gets
# credentials from the emulator; where the host does not allow that, it is told so.
#
# WASH names a wash, of version 2.10 or later; else it is the one in PATH.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wash=${WASH:-wash}
if ! [[ $("$wash" --version 2> /dev/null) =~ ^wash\ 2\.([0-9]+)\. ]] || ((BASH_REMATCH[1] < 10)); then
    echo "$client: not run, because there is no wash 2.10 or later here: WASH=FILE names one"
    exit 77
fi

build
mkdir -p "$clients/$client"
composed=$clients/$client/composed.wasm
compose handler-component "$composed"
handler=$PWD/target/component/wasm32-unknown-unknown/component/handler_component.wasm
emulated '' python3 -B tests/clients/hosts/wash_dev.py "$wash" "$clients/$client/project" "$component" "$handler" "$composed"
