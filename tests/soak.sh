#!/usr/bin/env bash
# Ten minutes of 200 clients through the host, on real sockets, with faults and an emulator that is restarted:
# nothing leaks, nothing hangs. It is no part of `cargo test`. Arguments are those of `imds-conformance soak`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec cargo run --release --quiet --package imds-conformance -- soak "$@"
