#!/usr/bin/env bash
# Tests the manual and the completion scripts of the commands of this workspace, which must be built:
# pages are formatted without a warning, and shells accept the scripts and complete with them. Shells and
# formatters that are not installed are left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$PWD/target/debug:$PATH
export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9
used=

# available PROGRAM: whether it is installed.
available() {
    command -v "$1" > /dev/null || return
    [[ " $used " == *" $1 "* ]] || used+=" $1"
}

# expect TEXT WHAT EXPECTED: fails unless a line of the text begins with the expected word. Without one,
# there must be no text.
expect() {
    if [ -n "$3" ]; then grep -qE -- "^$3([^a-z-]|$)" <<< "$1" && return; elif [ -z "$1" ]; then return; fi
    echo "$2 completes with \"$1\", not with \"$3\"" >&2
    exit 1
}

# completes COMMAND EXPECTED WORD...: whether the last word after the command is completed to the expected one.
completes() {
    local name=$1 expected=$2 words
    shift 2
    words=("$name" "$@")
    # shellcheck disable=SC2016
    expect "$(bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        "_${1//-/_}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; printf "%s\n" "${COMPREPLY[@]}"' \
        bash "$work/$name.bash" "${words[@]}")" "bash: ${words[*]}" "$expected"
    if available fish; then
        # shellcheck disable=SC2016
        expect "$(fish --no-config -c 'source $argv[1]; complete -C "$argv[2]"' "$work/$name.fish" "${words[*]}")" \
            "fish: ${words[*]}" "$expected"
    fi
}

for name in ec2-role-credentials imds-conformance imds-emulator; do
    "$name" man "$work/$name"
    for page in "$work/$name"/*.1; do
        if available mandoc; then mandoc -T lint -W error "$page" > "$work/warnings"; fi
        if available man && available groff; then
            LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings --local-file "$page" > "$work/page" 2> "$work/warnings"
            if [ -s "$work/warnings" ] || ! grep -q NAME "$work/page"; then
                echo "$page:" && cat "$work/warnings" "$work/page" && exit 1
            fi
        fi
    done
    for shell in bash zsh fish elvish powershell; do
        "$name" completions "$shell" > "$work/$name.$shell"
        case $shell in
            bash | zsh) if available "$shell"; then "$shell" -n "$work/$name.$shell"; fi ;;
            fish) if available fish; then fish --no-execute "$work/$name.fish"; fi ;;
            *) [ -s "$work/$name.$shell" ] ;;
        esac
    done
    for subcommand in $("$name" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' | grep -v '^help$'); do
        [ -s "$work/$name/$name-$subcommand.1" ]
        completes "$name" "$subcommand" "$subcommand"
    done
done
# The arguments of `ctl` are parsed separately: it has subcommands, and no options of the emulator.
[ -s "$work/imds-emulator/imds-emulator-ctl-fault-add.1" ]
if grep -q aemm "$work/imds-emulator/imds-emulator-ctl.1"; then
    echo "the page of \`ctl\` has options of the emulator" >&2
    exit 1
fi
completes imds-emulator add ctl fault ad
completes imds-emulator --aemm-config run --aemm
completes imds-emulator "" ctl --aemm
echo "the manual and the completions: passed, with$used"
