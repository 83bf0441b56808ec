//! The shell: sockets in, core, sockets out.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chrono::TimeDelta;
use hyper::ext::ReasonPhrase;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::imds::{self, Imds, Rotation, Settings};

/// After a stop, answers on their way may take so long.
const GRACE: Duration = Duration::from_secs(2);

/// A running emulator. It stops when this is dropped.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    url: String,
    clock: Clock,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Emulator {
    /// A plausible instance with a role, on a free port of the loopback interface.
    pub fn builder() -> Builder {
        Builder {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            role: Some("emulated-role".into()),
            rotation: Rotation::default(),
            clock: Clock::real(),
            seed: None,
        }
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL to point a client at: `http://127.0.0.1:PORT`, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Stops listening, lets the answers on their way go out, and returns.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Without `stop`, whoever is being answered is cut off.
        self.server.abort();
    }
}

/// What to emulate, and where.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    address: SocketAddr,
    role: Option<String>,
    rotation: Rotation,
    clock: Clock,
    seed: Option<[u8; 32]>,
}

impl Builder {
    /// Listens there; with port 0, on any free port. Default: 127.0.0.1, port 0.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The name of the instance's role. Default: `emulated-role`.
    pub fn role(mut self, name: impl Into<String>) -> Self {
        self.role = Some(name.into());
        self
    }

    /// An instance without a role (rule 35).
    pub fn without_role(mut self) -> Self {
        self.role = None;
        self
    }

    /// When credentials are replaced and how long they live (rule 49). Default: every hour; six
    /// hours and twenty minutes.
    pub fn rotation(mut self, every: TimeDelta, lifetime: TimeDelta) -> Self {
        self.rotation = Rotation { every, lifetime };
        self
    }

    /// The clock for tokens and credentials. Default: the machine's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What keys and tokens are made from. With the same seed tokens stay good over a restart, and
    /// credentials are the same at the same age of the emulator. Default: random.
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Begins to listen. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the address is not to be had, or the machine has no randomness.
    pub async fn start(self) -> Result<Emulator, StartError> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(|error| StartError {
                    doing: "no random seed".into(),
                    source: io::Error::other(error),
                })?;
                seed
            }
        };
        let failed = |source| StartError {
            doing: format!("cannot listen on {}", self.address),
            source,
        };
        let listener = TcpListener::bind(self.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Shared {
            imds: Imds::new(Settings {
                role: self.role,
                rotation: self.rotation,
                seed,
                began: self.clock.now(),
            }),
            clock: self.clock.clone(),
        };
        let router = Router::new()
            .fallback(respond)
            .with_state(std::sync::Arc::new(shared));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let serve = axum::serve(listener, router).with_graceful_shutdown(async {
                let _ = stopped.await;
            });
            // It never ends with an error: failures to accept are retried inside.
            let _ = serve.await;
        });
        Ok(Emulator {
            address,
            url: format!("http://{address}"),
            clock: self.clock,
            stop: Some(stop),
            server,
        })
    }
}

/// The emulator could not be started.
#[derive(Debug)]
pub struct StartError {
    doing: String,
    source: io::Error,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.doing)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

struct Shared {
    imds: Imds,
    clock: Clock,
}

async fn respond(
    State(shared): State<std::sync::Arc<Shared>>,
    request: axum::extract::Request,
) -> Response {
    let (request, _) = request.into_parts();
    let mut response = shared.imds.respond(&request, shared.clock.now());
    if let Some(imds::ReasonPhrase(phrase)) = response.extensions_mut().remove() {
        response
            .extensions_mut()
            .insert(ReasonPhrase::from_static(phrase.as_bytes()));
    }
    response.map(Body::from)
}
