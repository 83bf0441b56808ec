//! The component: as WebAssembly in its host, and its logic alone as native code.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use ec2_role_component::credentials::Credentials;
use ec2_role_component::error::{Error, Reason};
use ec2_role_component::imds::client::{Client as ImdsClient, Tree};
use ec2_role_component::instance::Instance;
use ec2_role_component::ports::{self, Method, RESPONSE_HEADERS};
use ec2_role_component::time::{Monotonic, UnixTime};
use ec2_role_host::transport::{Direct, Timeouts, Transport as _, TransportError};
use ec2_role_host::{Builder, Clock as _, Ec2RoleProvider, Environment, RefreshPolicy};
use futures_util::future::{BoxFuture, join_all};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Answer, Client, Driver, Failed, Given, Offers, Time, Unable, World};
use crate::clock::Shared;
use crate::settings::options;

const OFFERS: Offers = Offers {
    session: true,
    time: Time::World,
    concurrent: true,
    reject: true,
    metadata: true,
    settings: true,
};

/// The component in its host.
#[derive(Clone, Debug)]
pub struct Hosted {
    policy: RefreshPolicy,
}

impl Hosted {
    /// With this refresh policy.
    pub fn new(policy: RefreshPolicy) -> Self {
        Self { policy }
    }
}

impl Driver for Hosted {
    fn name(&self) -> &str {
        match self.policy {
            RefreshPolicy::Classic => "component-classic",
            _ => "component",
        }
    }

    fn offers(&self) -> Offers {
        OFFERS
    }

    fn start<'a>(&'a self, world: &'a World) -> BoxFuture<'a, Result<Box<dyn Client>, Unable>> {
        Box::pin(async {
            let random = Mutex::new(ChaCha8Rng::seed_from_u64(world.seed));
            let fill = move |bytes: &mut [u8]| {
                random
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .fill(bytes);
            };
            let builder = builder(self.policy, world)
                .clock(world.clock.clone())
                .randomness(fill);
            // An error in the settings is the answer to every question.
            let provider = builder.build().await;
            Ok(Box::new(InHost {
                provider,
                said: String::new(),
            }) as Box<dyn Client>)
        })
    }
}

fn builder(policy: RefreshPolicy, world: &World) -> Builder {
    Ec2RoleProvider::builder()
        .environment(world.env.clone().into_iter().collect::<Environment>())
        .refresh_policy(policy)
}

struct InHost {
    provider: Result<Ec2RoleProvider, ec2_role_host::Error>,
    said: String,
}

impl InHost {
    fn note(&mut self, error: &ec2_role_host::Error) -> Failed {
        self.said.push_str(&format!("{error}\n{error:?}\n"));
        let kind = serde_json::to_value(error.kind()).unwrap_or_default();
        Failed::new(kind.as_str(), error.to_string())
    }
}

impl Client for InHost {
    fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>> {
        Box::pin(async move {
            let answers = match &self.provider {
                Ok(provider) => {
                    let ask = || {
                        let provider = provider.clone();
                        tokio::spawn(async move { provider.credentials().await })
                    };
                    let asked: Vec<_> = (0..callers).map(|_| ask()).collect();
                    let answers = join_all(asked).await.into_iter().flatten().collect();
                    self.said
                        .push_str(&format!("{provider:?}\n{:?}\n", provider.status()));
                    answers
                }
                Err(error) => vec![Err(error.clone()); callers],
            };
            let answer = |answer: Result<Arc<ec2_role_host::Credentials>, _>| match answer {
                Ok(credentials) => {
                    self.said.push_str(&format!("{credentials:?}\n"));
                    Ok(Given {
                        access_key_id: credentials.access_key_id().to_owned(),
                        expires: credentials.expires(),
                    })
                }
                Err(error) => Err(self.note(&error)),
            };
            answers.into_iter().map(answer).collect()
        })
    }

    fn metadata(&mut self, path: &str) -> BoxFuture<'_, Result<String, Failed>> {
        let path = path.to_owned();
        Box::pin(async move {
            let answer = match &self.provider {
                Ok(provider) => provider.metadata().get(&path).await,
                Err(error) => Err(error.clone()),
            };
            answer.map_err(|error| self.note(&error))
        })
    }

    fn reject(&mut self, access_key_id: &str) -> BoxFuture<'_, Result<(), Failed>> {
        let access_key_id = access_key_id.to_owned();
        Box::pin(async move {
            let answer = match &self.provider {
                Ok(provider) => provider.reject(&access_key_id).await,
                Err(error) => Err(error.clone()),
            };
            answer.map_err(|error| self.note(&error))
        })
    }

    fn said(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async { std::mem::take(&mut self.said) })
    }
}

/// The component's logic as native code, with its own sockets in place of a host.
#[derive(Clone, Debug)]
pub struct Native {
    policy: RefreshPolicy,
}

impl Native {
    /// With this refresh policy.
    pub fn new(policy: RefreshPolicy) -> Self {
        Self { policy }
    }
}

impl Driver for Native {
    fn name(&self) -> &str {
        match self.policy {
            RefreshPolicy::Classic => "native-classic",
            _ => "native",
        }
    }

    fn offers(&self) -> Offers {
        OFFERS
    }

    fn start<'a>(&'a self, world: &'a World) -> BoxFuture<'a, Result<Box<dyn Client>, Unable>> {
        Box::pin(async {
            let mut instance = Instance::new(
                Sockets(world.clock.clone()),
                Clock(world.clock.clone()),
                Dice(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(world.seed)))),
            );
            // The host reads the settings here, too.
            let wrong = match builder(self.policy, world).settings() {
                Ok(settings) => instance
                    .configure(options(settings))
                    .err()
                    .map(|error| failed(&error)),
                Err(error) => Some(Failed::new(
                    Some("invalid-configuration"),
                    error.to_string(),
                )),
            };
            Ok(Box::new(Alone {
                instance,
                wrong,
                said: String::new(),
            }) as Box<dyn Client>)
        })
    }
}

struct Alone {
    instance: Instance<ImdsClient<Sockets, Clock, Dice>, Clock, Dice>,
    wrong: Option<Failed>,
    said: String,
}

impl Client for Alone {
    fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for _ in 0..callers {
                let answer = match &self.wrong {
                    Some(wrong) => Err(wrong.clone()),
                    None => self.instance.get_credentials().await.map_or_else(
                        |error| Err(failed(&error)),
                        |credentials| Ok(given(&credentials)),
                    ),
                };
                self.said
                    .push_str(&format!("{answer:?}\n{:?}\n", self.instance.status()));
                answers.push(answer);
            }
            answers
        })
    }

    fn metadata(&mut self, path: &str) -> BoxFuture<'_, Result<String, Failed>> {
        let path = path.to_owned();
        Box::pin(async move {
            match &self.wrong {
                Some(wrong) => Err(wrong.clone()),
                None => {
                    let answer = self.instance.text(Tree::Metadata, &path).await;
                    answer.map_err(|error| failed(&error))
                }
            }
        })
    }

    fn reject(&mut self, access_key_id: &str) -> BoxFuture<'_, Result<(), Failed>> {
        self.instance.reject(access_key_id);
        Box::pin(async { Ok(()) })
    }

    fn said(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async { std::mem::take(&mut self.said) })
    }
}

fn given(credentials: &Credentials) -> Given {
    let expires = credentials
        .expires
        .and_then(|moment| DateTime::from_timestamp(i64::try_from(moment.seconds()).ok()?, 0));
    Given {
        access_key_id: credentials.access_key_id.clone(),
        expires,
    }
}

fn failed(error: &Error) -> Failed {
    let kind = match error {
        Error::Disabled => "disabled",
        Error::InvalidConfiguration(_) => "invalid-configuration",
        Error::Unsupported(_) => "unsupported",
        Error::Other(_) => "other",
        Error::Failed(failure) => match failure.reason {
            Reason::Denied => "denied",
            Reason::Unavailable => "unavailable",
            Reason::Timeout => "timeout",
            Reason::Throttled => "throttled",
            Reason::Forbidden => "forbidden",
            Reason::NotFound => "not-found",
            Reason::NoRole => "no-role",
            Reason::Refused => "refused",
            Reason::Expired => "expired",
            Reason::UnexpectedStatus => "unexpected-status",
            Reason::InvalidResponse => "invalid-response",
        },
    };
    Failed::new(Some(kind), error.to_string())
}

/// The ports.
#[derive(Debug)]
struct Sockets(Shared);

#[derive(Clone, Debug)]
struct Clock(Shared);

#[derive(Clone, Debug)]
struct Dice(Arc<Mutex<ChaCha8Rng>>);

impl ports::Transport for Sockets {
    async fn exchange(
        &mut self,
        request: ports::Request<'_>,
    ) -> Result<ports::Response, ports::TransportError> {
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Put => http::Method::PUT,
        };
        let authority = request.authority;
        let mut builder = http::Request::builder()
            .method(method)
            .uri(format!("http://{authority}{}", request.path))
            .header("host", authority);
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        let malformed = ports::TransportError::Denied("the request cannot be built");
        let outgoing = builder.body(Bytes::new()).map_err(|_| malformed)?;
        let timeouts = Timeouts::new(request.connect_timeout, request.read_timeout);
        let deadline = request.deadline.since(Monotonic::new(self.0.monotonic()));
        let response = tokio::time::timeout(deadline, Direct.send(outgoing, timeouts))
            .await
            .map_err(|_| ports::TransportError::Timeout("no response in time"))?
            .map_err(|error| match error {
                TransportError::Connect(_) => ports::TransportError::Unavailable("no connection"),
                TransportError::ConnectTimeout | TransportError::ResponseTimeout => {
                    ports::TransportError::Timeout("no response in time")
                }
                TransportError::BodyTooLong => ports::TransportError::TooLong(request.body_limit),
                _ => ports::TransportError::Unavailable("the connection broke"),
            })?;
        let (parts, body) = response.into_parts();
        if body.len() > request.body_limit {
            return Err(ports::TransportError::TooLong(request.body_limit));
        }
        let header = |name: &'static str| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some((name, value.to_owned()))
        };
        Ok(ports::Response {
            status: parts.status.as_u16(),
            headers: RESPONSE_HEADERS.into_iter().filter_map(header).collect(),
            body: body.to_vec(),
        })
    }
}

impl ports::Clock for Clock {
    fn wall(&self) -> UnixTime {
        let since = self.0.now().duration_since(std::time::UNIX_EPOCH);
        UnixTime::new(since.unwrap_or_default())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(self.0.monotonic())
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> {
        let sleep: Pin<Box<dyn Future<Output = ()> + Send>> = self.0.sleep(time);
        sleep
    }
}

impl ports::Random for Dice {
    fn unit(&mut self) -> f64 {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random()
    }
}
