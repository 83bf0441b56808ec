#!/usr/bin/env bash
# Tests an HTTP handler in wasmCloud's `wash dev`, both composed with the component and beside it: it gets
# credentials from the emulator, or an error if the host does not permit that.
#
# WASH names a wash of version 2.10 or later; the default is the wash in PATH.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wash=${WASH:-wash}
if ! [[ $("$wash" --version 2> /dev/null) =~ ^wash\ 2\.([0-9]+)\. ]] || ((BASH_REMATCH[1] < 10)); then
    echo "$client: not run, because wash 2.10 or later is not installed; name one with WASH=FILE"
    exit 77
fi

build
released ec2-role-credentials
mkdir -p "$clients/$client"
composed=$clients/$client/composed.wasm
compose handler-component "$composed"
handler=$PWD/target/component/wasm32-unknown-unknown/component/handler_component.wasm
emulated '' python3 -B tests/clients/hosts/wash_dev.py "$wash" "$clients/$client/project" "$component" "$handler" "$composed"
