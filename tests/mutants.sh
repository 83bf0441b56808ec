#!/usr/bin/env bash
# Runs cargo-mutants, which makes one small change to the code at a time. For each change, a test must fail, or
# mutants.toml, beside this script, must explain why none can. Exit status: 0 if that is so, 1 otherwise, 77 if
# cargo-mutants cannot be installed.
#
#   tests/mutants.sh component
#   tests/mutants.sh emulator
#   tests/mutants.sh component 'component/src/cache/**'
#
# The component takes a quarter of an hour, and the emulator's core takes hours; globs of files take less.
# mutants.toml lists the files of the emulator that have been checked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=27.1.0

case ${1-} in
component)
    # Without the property tests, whose results depend on chance.
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
    # Without the test of many clients, which takes longer than all others together.
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

# The mutants are built in a copy, whose dependencies are built only once.
export CARGO_TARGET_DIR=$work/build CARGO_PROFILE_DEV_DEBUG=none
status=0
cargo mutants "${which[@]}" --level error --output "$work" --no-shuffle --colors never "${targets[@]/#/--cargo-arg=}" -- -- "${tests[@]}" || status=$?
# 2: some mutants were missed. 3: some timed out, which counts as a failed test.
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
    """The mutant in the form of mutants.toml: with the line of code instead of its number, which changes."""
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
    ("no test fails for these, and tests/mutants.toml does not explain them", missed - explained),
    ("tests/mutants.toml explains these, but a test fails for them or they no longer exist", {e for e in explained if e[0] in files} - missed),
):
    if these:
        wrong = True
        print(f"mutants: {what}:")
    for file, words, line in sorted(these):
        print(f"  {file}: {words}\n    {line}")
if not wrong:
    print(f"mutants: tests/mutants.toml explains all {len(missed)} for which no test fails")
sys.exit(wrong)
PYTHON
