//! The cost of credentials with this provider, and with the provider of `aws-config` behind the
//! identity cache of an SDK client. Both run against the same emulator.
//!
//! `cargo bench -p ec2-role-host --bench credentials`
//!
//! * `cached`: held credentials. In `through_the_component` every call reaches the component, as it
//!   would without the snapshot.
//! * `cold`: the first credentials of a new provider, which take three requests. In `component` the
//!   component was compiled before, which a process does only once.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at what it did not expect"
)]

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime::client::auth::no_auth::{NO_AUTH_SCHEME_ID, NoAuthScheme};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::identity::no_auth::NoAuthIdentityResolver;
use aws_smithy_runtime::client::orchestrator::endpoints::StaticUriEndpointResolver;
use aws_smithy_runtime::client::retries::strategy::NeverRetryStrategy;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::identity::{
    ResolveCachedIdentity as _, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;
use divan::Bencher;
use ec2_role_host::{Clock, Ec2RoleProvider, Environment};
use imds_emulator::Emulator;
use tokio::runtime::Runtime;

const THREADS: [usize; 2] = [1, 2];

fn main() {
    // Start everything that is shared before anything is measured.
    emulator();
    divan::main();
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    })
}

fn emulator() -> &'static Emulator {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    EMULATOR.get_or_init(|| runtime().block_on(Emulator::builder().start()).unwrap())
}

fn provider(clock: Option<Asking>) -> Ec2RoleProvider {
    let builder = Ec2RoleProvider::builder()
        .environment(Environment::empty())
        .endpoint(emulator().url());
    let builder = match clock {
        Some(clock) => builder.clock(clock),
        None => builder,
    };
    builder.build_blocking().unwrap()
}

/// For threads that ask, everything is due; the component sees the time as it is.
#[derive(Debug)]
struct Asking(Instant);

thread_local!(static ASKS: Cell<bool> = const { Cell::new(false) });

impl Clock for Asking {
    fn now(&self) -> SystemTime {
        match ASKS.get() {
            true => SystemTime::now() + Duration::from_secs(24 * 3600),
            false => SystemTime::now(),
        }
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// As a client of the SDK holds it.
struct Sdk {
    components: RuntimeComponents,
    resolver: SharedIdentityResolver,
    config: ConfigBag,
}

impl Sdk {
    fn new() -> Self {
        let config = ProviderConfig::empty()
            .with_http_client(aws_smithy_http_client::Builder::new().build_http())
            .with_sleep_impl(TokioSleep::new())
            .with_time_source(SystemTimeSource::new());
        let client = imds::Client::builder()
            .configure(&config)
            .endpoint(emulator().url())
            .unwrap()
            .build();
        let provider = ImdsCredentialsProvider::builder()
            .configure(&config)
            .imds_client(client)
            .build();
        let components = RuntimeComponentsBuilder::new("bench")
            .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(Vec::new())))
            .with_auth_scheme(NoAuthScheme::new())
            .with_endpoint_resolver(Some(StaticUriEndpointResolver::http_localhost(1)))
            .with_identity_cache(Some(IdentityCache::lazy().build()))
            .with_identity_resolver(NO_AUTH_SCHEME_ID, NoAuthIdentityResolver::new())
            .with_retry_strategy(Some(NeverRetryStrategy::new()))
            .with_sleep_impl(Some(TokioSleep::new()))
            .with_time_source(Some(SystemTimeSource::new()))
            .build()
            .unwrap();
        Self {
            components,
            resolver: SharedIdentityResolver::new(SharedCredentialsProvider::new(provider)),
            config: ConfigBag::base(),
        }
    }

    async fn credentials(&self) -> aws_smithy_runtime_api::client::identity::Identity {
        let cache = self.components.identity_cache();
        let resolver = self.resolver.clone();
        let identity = cache.resolve_cached_identity(resolver, &self.components, &self.config);
        identity.await.unwrap()
    }
}

#[divan::bench_group]
mod cached {
    use super::*;

    #[divan::bench(threads = THREADS)]
    fn snapshot(bencher: Bencher<'_, '_>) {
        let provider = provider(None);
        provider.credentials_blocking().unwrap();
        bencher.bench(|| provider.credentials_blocking().unwrap());
    }

    #[divan::bench(threads = THREADS)]
    fn through_the_component(bencher: Bencher<'_, '_>) {
        let provider = provider(Some(Asking(Instant::now())));
        provider.credentials_blocking().unwrap();
        bencher.bench(|| {
            ASKS.set(true);
            provider.credentials_blocking().unwrap()
        });
    }

    // Its cache sets a timer, and wants a runtime for that.
    thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });

    #[divan::bench(threads = THREADS)]
    fn aws_config(bencher: Bencher<'_, '_>) {
        let sdk = Sdk::new();
        runtime().block_on(sdk.credentials());
        bencher.bench(|| {
            if !INSIDE.replace(true) {
                // Leaked, because the thread belongs to divan.
                std::mem::forget(runtime().enter());
            }
            pollster::block_on(sdk.credentials())
        });
    }

    /// Reading the clock, which is part of all benchmarks above.
    #[divan::bench(threads = THREADS)]
    fn clock_alone() -> SystemTime {
        SystemTime::now()
    }
}

#[divan::bench_group(sample_count = 500, sample_size = 1)]
mod cold {
    use super::*;

    #[divan::bench]
    fn component_built_before(bencher: Bencher<'_, '_>) {
        bencher
            .with_inputs(|| provider(None))
            .bench_values(|provider| provider.credentials_blocking().unwrap());
    }

    #[divan::bench]
    fn component() {
        provider(None).credentials_blocking().unwrap();
    }

    #[divan::bench]
    fn aws_config() {
        runtime().block_on(async { Sdk::new().credentials().await });
    }
}
