//! The IMDS provider of the AWS SDK for Rust, behind the identity cache of its clients.

use std::time::SystemTime;

use ::aws_config::imds;
use ::aws_config::imds::credentials::ImdsCredentialsProvider;
use ::aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::TimeSource;
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
use ec2_role_host::Clock as _;
use futures_util::future::{BoxFuture, join_all};

use super::{Answer, Client, Driver, Failed, Given, Offers, Time, Unable, World};
use crate::clock::Shared;

/// The tested version.
pub const VERSION: &str = "1.13";

/// `aws-config`.
#[derive(Clone, Copy, Debug)]
pub struct AwsConfig;

impl Driver for AwsConfig {
    fn name(&self) -> &str {
        "aws-config"
    }

    fn offers(&self) -> Offers {
        Offers {
            session: true,
            time: Time::World,
            concurrent: true,
            reject: false,
            metadata: true,
            // It reads the environment of this process.
            settings: false,
        }
    }

    fn start<'a>(&'a self, world: &'a World) -> BoxFuture<'a, Result<Box<dyn Client>, Unable>> {
        Box::pin(async { Ok(Box::new(Sdk::new(world)?) as Box<dyn Client>) })
    }
}

struct Sdk {
    components: RuntimeComponents,
    resolver: SharedIdentityResolver,
    client: imds::Client,
    said: String,
}

#[derive(Clone, Debug)]
struct Now(Shared);

impl TimeSource for Now {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

impl Sdk {
    fn new(world: &World) -> Result<Self, Unable> {
        let config = ProviderConfig::empty()
            .with_http_client(aws_smithy_http_client::Builder::new().build_http())
            .with_sleep_impl(TokioSleep::new())
            .with_time_source(Now(world.clock.clone()));
        let client = imds::Client::builder()
            .configure(&config)
            .endpoint(&world.endpoint)
            .map_err(|error| Unable(error.to_string()))?
            .build();
        let provider = ImdsCredentialsProvider::builder()
            .configure(&config)
            .imds_client(client.clone())
            .build();
        let components = RuntimeComponentsBuilder::new("conformance")
            .with_auth_scheme(NoAuthScheme::new())
            .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(Vec::new())))
            .with_endpoint_resolver(Some(StaticUriEndpointResolver::http_localhost(1)))
            .with_identity_cache(Some(IdentityCache::lazy().build()))
            .with_identity_resolver(NO_AUTH_SCHEME_ID, NoAuthIdentityResolver::new())
            .with_retry_strategy(Some(NeverRetryStrategy::new()))
            .with_sleep_impl(Some(TokioSleep::new()))
            .with_time_source(Some(Now(world.clock.clone())))
            .build()
            .map_err(|error| Unable(error.to_string()))?;
        Ok(Self {
            components,
            resolver: SharedIdentityResolver::new(SharedCredentialsProvider::new(provider)),
            client,
            said: String::new(),
        })
    }
}

async fn identity(
    components: RuntimeComponents,
    resolver: SharedIdentityResolver,
) -> Result<Given, String> {
    let config = ConfigBag::base();
    let cache = components.identity_cache();
    let identity = cache
        .resolve_cached_identity(resolver, &components, &config)
        .await;
    match identity {
        Ok(identity) => {
            let credentials = identity.data::<Credentials>();
            Ok(Given {
                access_key_id: credentials
                    .map(|credentials| credentials.access_key_id().to_owned())
                    .unwrap_or_default(),
                expires: identity.expiration().map(Into::into),
            })
        }
        Err(error) => {
            let kind = error
                .downcast_ref::<CredentialsError>()
                .map_or("", |error| match error {
                    CredentialsError::CredentialsNotLoaded(_) => "not loaded: ",
                    CredentialsError::ProviderTimedOut(_) => "timed out: ",
                    CredentialsError::InvalidConfiguration(_) => "invalid configuration: ",
                    _ => "",
                });
            Err(format!("{kind}{}", chain(&*error)))
        }
    }
}

/// An error and its sources.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let texts: Vec<String> = anyhow::Chain::new(error).map(ToString::to_string).collect();
    texts.join(": ")
}

impl Client for Sdk {
    fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>> {
        Box::pin(async move {
            let ask = || {
                // A separate task, because the provider may panic.
                tokio::spawn(identity(self.components.clone(), self.resolver.clone()))
            };
            let asked: Vec<_> = (0..callers).map(|_| ask()).collect();
            let answers = join_all(asked).await;
            let answer = |answer: Result<Result<Given, String>, tokio::task::JoinError>| {
                let failed = match answer {
                    Ok(Ok(given)) => return Ok(given),
                    Ok(Err(message)) => Failed::new(None, message),
                    Err(panic) => Failed::broken(format!("the client panicked: {panic}")),
                };
                self.said.push_str(&failed.message);
                Err(failed)
            };
            answers.into_iter().map(answer).collect()
        })
    }

    fn metadata(&mut self, path: &str) -> BoxFuture<'_, Result<String, Failed>> {
        let path = format!("/latest/meta-data/{path}");
        Box::pin(async move {
            let answer = self.client.get(path).await;
            answer.map(Into::into).map_err(|error| {
                let message = chain(&error);
                self.said.push_str(&message);
                Failed::new(None, message)
            })
        })
    }

    fn said(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async { std::mem::take(&mut self.said) })
    }
}
