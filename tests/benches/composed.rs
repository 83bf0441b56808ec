//! The cost of a call for held credentials in an application that is composed with the component, in
//! wasmtime, as `docs/hosts.md` describes.
//!
//! ```sh
//! cargo bench -p imds-conformance --bench composed
//! cargo bench -p imds-conformance --bench composed -- --against FILE
//! ```
//!
//! `FILE` is the component of another build. Both components take turns, so that other work on the
//! machine slows down both.

#![expect(
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "a benchmark stops at what it did not expect"
)]

use imds_emulator::Emulator;
use wasmtime::Store;
use wasmtime::component::TypedFunc;

use self::host::{Host, State};

#[path = "../tests/support/build.rs"]
mod build;
#[path = "../tests/support/compose.rs"]
mod compose;
#[allow(dead_code, reason = "tests use the rest")]
#[path = "../tests/support/host.rs"]
mod host;
#[path = "../tests/support/loopback.rs"]
mod loopback;

/// Measurements of each component, the best of which counts, and the calls in each.
const ATTEMPTS: usize = 400;
const CALLS: u32 = 500;

/// The highest accepted figure, in nanoseconds.
const TARGET: f64 = 2000.0;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let against = arguments
        .iter()
        .position(|argument| argument == "--against")
        .and_then(|at| arguments.get(at + 1));
    let imds = Emulator::builder().start().await.unwrap();
    let caller = build::component("caller-component");

    let mut new = Caller::new(caller.clone(), ec2_role_host::COMPONENT.to_vec()).await;
    let mut old = match against {
        Some(file) => Some(Caller::new(caller, std::fs::read(file).unwrap()).await),
        None => None,
    };
    let (mut now, mut before) = (Vec::new(), Vec::new());
    for _ in 0..ATTEMPTS {
        if let Some(old) = &mut old {
            before.push(old.run(imds.url()).await);
        }
        now.push(new.run(imds.url()).await);
    }

    println!("| fastest of {ATTEMPTS} | old | new | new/old | target |");
    println!("| --- | --- | --- | --- | --- |");
    let best = |figures: Vec<f64>| figures.into_iter().min_by(f64::total_cmp);
    let (now, before) = (best(now).unwrap(), best(before));
    let (then, ratio) = match before {
        Some(before) => (format!("{before:.0} ns"), format!("{:.2}", now / before)),
        None => (String::new(), String::new()),
    };
    println!(
        "| held credentials in a composed guest | {then} | {now:.0} ns | {ratio} | at most {TARGET} ns |"
    );
}

/// An instance of the application.
struct Caller {
    store: Store<State>,
    run: TypedFunc<(String, u32), (Result<u64, String>,)>,
}

impl Caller {
    async fn new(caller: Vec<u8>, credentials: Vec<u8>) -> Self {
        let composed = compose::compose(caller, credentials).unwrap();
        let (mut store, instance) = Host::new(&composed).instance().await;
        let run = instance.get_typed_func(&mut store, "run").unwrap();
        Self { store, run }
    }

    /// The time of a call, in nanoseconds.
    async fn run(&mut self, endpoint: &str) -> f64 {
        let arguments = (endpoint.to_owned(), CALLS);
        let (time,) = self
            .run
            .call_async(&mut self.store, arguments)
            .await
            .unwrap();
        time.unwrap() as f64 / f64::from(CALLS)
    }
}
