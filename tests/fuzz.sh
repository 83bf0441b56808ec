#!/usr/bin/env bash
# Runs libFuzzer on everything that parses input: fuzz.sh [SECONDS [TARGET...]]. Each target runs for SECONDS
# [default: 30]; without TARGET, every target runs. Exit status 77 means that cargo-fuzz cannot be installed.
#
# New inputs are saved in target/fuzz-corpus, not in the committed corpora. An input that makes a target panic
# is saved in tests/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-30}
shift $(($# > 0))
command -v cargo-fuzz > /dev/null || cargo install --locked --quiet cargo-fuzz@0.13.2 2> /dev/null || {
    echo "fuzz: not run, because cargo-fuzz cannot be installed here"
    exit 77
}
# Hardly any code here is unsafe, so a sanitizer has little to find. SANITIZER=address enables one. Its flags
# need a nightly compiler, or a stable compiler with RUSTC_BOOTSTRAP.
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
    # The words of the corpus, in the format of a libFuzzer dictionary.
    grep -aohE '[A-Za-z0-9_-]{3,40}' "fuzz/corpus/$target"/* | LC_ALL=C sort -u | sed 's/.*/"&"/' > "$new.dict" || true
    # libFuzzer writes to the first folder.
    cargo fuzz run "${options[@]}" "$target" "$new" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -dict="$new.dict" -max_len=4096 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 || failed=1
done
exit "$failed"
