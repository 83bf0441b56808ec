#!/usr/bin/env bash
# Lets libFuzzer at everything that parses: fuzz.sh [SECONDS [TARGET...]]. Each target is run for so many
# seconds, 30 if nothing is said; all of them, if none is named. It exits with 77 if cargo-fuzz cannot be had.
#
# What it finds to be new goes into target/fuzz-corpus, and not into the corpora that are committed. An input that
# a target panics on is left in tests/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-30}
shift $(($# > 0))
command -v cargo-fuzz > /dev/null || cargo install --locked --quiet cargo-fuzz@0.13.2 2> /dev/null || {
    echo "fuzz: not run, because cargo-fuzz cannot be installed here"
    exit 77
}
# Hardly any code here is unsafe, so that a sanitizer has little to find. With SANITIZER=address there is one; its
# flags are for nightly compilers, and for a stable one that is told so.
[ -z "${SANITIZER:-}" ] || export RUSTC_BOOTSTRAP=1
options=(--sanitizer "${SANITIZER:-none}" --target-dir ../target/fuzz)

cargo fuzz build "${options[@]}"
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
failed=0
for target in "${targets[@]}"; do
    printf '\n== %s\n' "$target"
    new=../target/fuzz-corpus/$target
    mkdir -p "$new"
    # The words of the corpus, as libFuzzer wants a dictionary.
    grep -aohE '[A-Za-z0-9_-]{3,40}' "fuzz/corpus/$target"/* | LC_ALL=C sort -u | sed 's/.*/"&"/' > "$new.dict" || true
    # The first folder is the one that is written to.
    cargo fuzz run "${options[@]}" "$target" "$new" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -dict="$new.dict" -max_len=4096 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 || failed=1
done
exit "$failed"
