#!/usr/bin/env bash
# cargo-mutants changes the code, one small thing at a time, and a test has to fail for each. What no test can find is
# explained in mutants.toml, beside this script, and nothing else is. The exit status is 1 if that is not so, and 77 if
# cargo-mutants cannot be installed here.
#
#   tests/mutants.sh component
#   tests/mutants.sh emulator
#   tests/mutants.sh component 'component/src/cache/**'
#
# The component takes a quarter of an hour, the emulator's core hours; globs of files take less.
# mutants.toml says which files of the emulator have been gone through; there may be more to find in the others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=27.1.0

case ${1-} in
component)
    # The properties are left out: what they find is a matter of chance.
    package=ec2-role-component
    files=('component/src/**')
    not=('component/src/guest/**' component/src/planted.rs)
    targets=(--lib --test=behaviour)
    tests=(--skip properties::)
    ;;
emulator)
    package=imds-emulator
    files=('emulator/src/imds/**' 'emulator/src/fault/**' 'emulator/src/journal/**')
    for file in clock credentials dialect documents events identity preset timeline token tree; do
        files+=("emulator/src/$file.rs")
    done
    not=()
    # Not the one with many clients, which takes longer than all others together.
    targets=(--lib --test=admin --test=command --test=faults --test=journal --test=protocol --test=timeline)
    tests=()
    ;;
*)
    echo "usage: tests/mutants.sh component|emulator [GLOB...]" >&2
    exit 2
    ;;
esac
shift
[ $# = 0 ] || files=("$@")

work=$PWD/target/mutants
mkdir -p "$work"
export PATH="$work/bin:$PATH"
if [ "$(cargo mutants --version 2> /dev/null)" != "cargo-mutants $version" ]; then
    cargo install --locked --quiet --root "$work" "cargo-mutants@$version" || {
        echo "mutants: not run, because cargo-mutants cannot be installed here"
        exit 77
    }
fi

which=(--package "$package")
for file in "${files[@]}"; do which+=(--file "$file"); done
for file in "${not[@]}"; do which+=(--exclude "$file"); done

# Mutants are made in a copy. What does not change is built once.
export CARGO_TARGET_DIR=$work/build CARGO_PROFILE_DEV_DEBUG=none
status=0
cargo mutants "${which[@]}" --level error --output "$work" --no-shuffle --colors never "${targets[@]/#/--cargo-arg=}" -- -- "${tests[@]}" || status=$?
# 2: some were missed; 3: some did not come to an end, which is as good as a test that fails.
case $status in 0 | 2 | 3) ;; *) exit 1 ;; esac

cargo mutants "${which[@]}" --list-files --json > "$work/files.json" 2> /dev/null
python3 - "$work" <<'PYTHON'
import json, sys, tomllib

work = sys.argv[1]
with open(f"{work}/files.json") as file:
    files = {entry["path"] for entry in json.load(file)}
with open(f"{work}/mutants.out/outcomes.json") as file:
    outcomes = json.load(file)["outcomes"]
with open("tests/mutants.toml", "rb") as file:
    explained = {(entry["file"], entry["mutant"], entry["line"]) for entry in tomllib.load(file).get("mutant", [])}


def described(mutant):
    """As mutants.toml has it: without the place, which moves, and with the line of code, which does not."""
    place = mutant["span"]["start"]
    with open(mutant["file"]) as file:
        line = file.read().splitlines()[place["line"] - 1]
    words = mutant["name"].removeprefix(f"{mutant['file']}:{place['line']}:{place['column']}: ")
    return mutant["file"], words, line.strip()


missed = {
    described(outcome["scenario"]["Mutant"])
    for outcome in outcomes
    if outcome["summary"] == "MissedMutant"
}
wrong = False
for what, these in (
    ("no test kills these, and tests/mutants.toml does not say why", missed - explained),
    ("tests/mutants.toml explains these, which a test kills or which are no more", {e for e in explained if e[0] in files} - missed),
):
    if these:
        wrong = True
        print(f"mutants: {what}:")
    for file, words, line in sorted(these):
        print(f"  {file}: {words}\n    {line}")
if not wrong:
    print(f"mutants: {len(missed)} that no test kills, and tests/mutants.toml says why")
sys.exit(wrong)
PYTHON
