#!/usr/bin/env bash
# Load-tests 200 clients in their host for ten minutes, on real sockets, with faults and an emulator that
# restarts, and checks that nothing leaks and no call hangs. It is not part of `cargo test`. Arguments are
# passed to `imds-conformance soak`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec cargo run --release --quiet --package imds-conformance -- soak "$@"
