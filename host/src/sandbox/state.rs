//! The state of an instance that its imports work on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{StoreContextMut, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Instant};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};
use wasmtime_wasi::p2::bindings::random::random;
use wasmtime_wasi_http::p2::bindings as wasi_http;
use wasmtime_wasi_http::p2::bindings::http::{outgoing_handler, types};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
};
use wasmtime_wasi_io::bindings::wasi::io;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use crate::clock::Clock;
use crate::egress::Egress;
use crate::limits::Limits;
use crate::obstacle::Obstacle;
use crate::telemetry;
use crate::transport::{BODY_LIMIT, Timeouts, Transport, TransportError};

/// The host's side of the imports.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    pub(crate) egress: Egress,
    pub(crate) transport: Arc<dyn Transport>,
    /// The time limit for opening a connection. The component may ask for a longer one `[B1.4]`.
    pub(crate) connect_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Randomness,
    pub(crate) limits: Limits,
    pub(crate) obstacle: LastObstacle,
}

/// The obstacle that the last exchange revealed.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastObstacle(Arc<Mutex<Option<Obstacle>>>);

impl LastObstacle {
    pub(crate) fn get(&self) -> Option<Obstacle> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, obstacle: Option<Obstacle>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = obstacle;
    }
}

/// A random number generator, which fills bytes.
#[derive(Clone)]
pub(crate) struct Randomness(pub(crate) Arc<Fill>);

type Fill = dyn Fn(&mut [u8]) + Send + Sync;

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Randomness").finish_non_exhaustive()
    }
}

pub(super) struct State {
    table: ResourceTable,
    clock: Arc<dyn Clock>,
    randomness: Randomness,
    http: WasiHttpCtx,
    hooks: Hooks,
    /// How many requests the component has made, also those that were denied.
    pub(super) requests: u64,
    pub(super) limits: StoreLimits,
}

impl State {
    pub(super) fn new(ports: &Ports) -> Self {
        let Ports {
            egress,
            transport,
            connect_timeout,
            clock,
            randomness,
            limits,
            obstacle,
        } = ports.clone();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits.headers);
        Self {
            table,
            clock,
            randomness,
            http,
            hooks: Hooks {
                egress,
                transport,
                connect_timeout,
                obstacle,
            },
            requests: 0,
            limits: StoreLimitsBuilder::new()
                .memory_size(limits.memory)
                .instances(limits.instances)
                .memories(1)
                .tables(limits.tables)
                .table_elements(limits.table_elements)
                .build(),
        }
    }

    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

type Link = fn(&mut Linker<State>) -> wasmtime::Result<()>;

/// The interfaces that the sandbox provides. A component that imports any other cannot be run.
const INTERFACES: [(&str, Link); 8] = [
    ("wasi:clocks/monotonic-clock", |linker| {
        monotonic_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
    }),
    ("wasi:clocks/wall-clock", |linker| {
        wall_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
    }),
    ("wasi:http/outgoing-handler", link_outgoing_handler),
    ("wasi:http/types", |linker| {
        let options = wasi_http::LinkOptions::default();
        wasi_http::http::types::add_to_linker::<State, WasiHttp>(
            linker,
            &options.into(),
            State::http,
        )
    }),
    ("wasi:io/error", |linker| {
        io::error::add_to_linker::<State, Io>(linker, State::table)
    }),
    ("wasi:io/poll", |linker| {
        io::poll::add_to_linker::<State, Io>(linker, State::table)
    }),
    ("wasi:io/streams", |linker| {
        io::streams::add_to_linker::<State, Io>(linker, State::table)
    }),
    ("wasi:random/random", |linker| {
        random::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
    }),
];

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links an interface of any patch version. `false` if the sandbox does not provide it.
pub(super) fn link(linker: &mut Linker<State>, interface: &str) -> wasmtime::Result<bool> {
    let name = interface
        .split_once('@')
        .map_or(interface, |(name, _)| name);
    match INTERFACES.iter().find(|(known, _)| *known == name) {
        Some((_, link)) => link(linker).map(|()| true),
        None => Ok(false),
    }
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        let now = self.clock.now().duration_since(SystemTime::UNIX_EPOCH)?;
        Ok(Datetime {
            seconds: now.as_secs(),
            nanoseconds: now.subsec_nanos(),
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime {
            seconds: 0,
            nanoseconds: 1,
        })
    }
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        Ok(nanoseconds(self.clock.monotonic()))
    }

    fn resolution(&mut self) -> wasmtime::Result<Instant> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let at = Duration::from_nanos(when);
        let alarm = self.table.push(Alarm {
            clock: Arc::clone(&self.clock),
            at,
        })?;
        subscribe(&mut self.table, alarm)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = nanoseconds(self.clock.monotonic());
        monotonic_clock::Host::subscribe_instant(self, now.saturating_add(duration))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Becomes ready at a moment of the monotonic clock.
struct Alarm {
    clock: Arc<dyn Clock>,
    at: Duration,
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for Alarm {
    async fn ready(&mut self) {
        match self.at.checked_sub(self.clock.monotonic()) {
            Some(rest) if !rest.is_zero() => self.clock.sleep(rest).await,
            // A component that polls in a loop must not keep the sockets from being read.
            _ => tokio::task::yield_now().await,
        }
    }
}

impl random::Host for State {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        const MAX_LENGTH: u64 = 4096;
        if length > MAX_LENGTH {
            wasmtime::bail!(
                "the component requested {length} random bytes; at most {MAX_LENGTH} are provided"
            );
        }
        let mut bytes = vec![0; usize::try_from(length)?];
        (self.randomness.0)(&mut bytes);
        Ok(bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        let mut bytes = [0; 8];
        (self.randomness.0)(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }
}

/// Links wasmtime's implementation, and deletes the options of each request. wasmtime reads them and
/// leaves them in the table, which would be full after about 60 requests.
fn link_outgoing_handler(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Arguments = (
        Resource<HostOutgoingRequest>,
        Option<Resource<RequestOptions>>,
    );
    let mut interface = linker.instance("wasi:http/outgoing-handler@0.2.12")?;
    interface.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, State>, (request, options): Arguments| {
            let state = store.data_mut();
            state.requests = state.requests.wrapping_add(1);
            let given = options.as_ref().map(Resource::rep);
            let answer = outgoing_handler::Host::handle(&mut state.http(), request, options);
            if let Some(given) = given {
                state
                    .table
                    .delete(Resource::<RequestOptions>::new_own(given))?;
            }
            Ok((match answer {
                Ok(future) => Ok(future),
                Err(error) => Err(types::Host::convert_error_code(&mut state.http(), error)?),
            },))
        },
    )
}

/// Checks and sends requests.
struct Hooks {
    egress: Egress,
    transport: Arc<dyn Transport>,
    connect_timeout: Duration,
    obstacle: LastObstacle,
}

type Finished = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = (http::Response<WasiBody>, Finished);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Finished,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        if let Err(refusal) = self.egress.check(request.method(), request.uri()) {
            telemetry::denied(refusal);
            self.obstacle.set(None);
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        let options = options.unwrap_or_default();
        let mut timeouts = Timeouts::clamped(options.connect_timeout, options.first_byte_timeout);
        timeouts.connect = timeouts.connect.min(self.connect_timeout);
        let transport = Arc::clone(&self.transport);
        let obstacle = self.obstacle.clone();
        Box::new(async move {
            let request = collect(request, timeouts).await?;
            let exchange = telemetry::Exchange::begin(request.method(), request.uri());
            let response = transport.send(request, timeouts).await;
            exchange.end(&response);
            obstacle.set(Obstacle::of(&response));
            let body = |bytes| {
                Full::new(bytes)
                    .map_err(|never| match never {})
                    .boxed_unsync()
            };
            let finished: Finished = Box::new(async { Ok(()) });
            Ok((response.map_err(http_error)?.map(body), finished))
        })
    }
}

/// Waits for the whole body of a request, which the component may write slowly.
async fn collect(
    request: http::Request<WasiBody>,
    timeouts: Timeouts,
) -> Result<http::Request<Bytes>, Error> {
    let (parts, body) = request.into_parts();
    let body = tokio::time::timeout(timeouts.response, Limited::new(body, BODY_LIMIT).collect())
        .await
        .map_err(|_| Error::ConnectionWriteTimeout)?
        .map_err(|_| Error::HttpRequestBodySize(None))?;
    Ok(http::Request::from_parts(parts, body.to_bytes()))
}

fn http_error(error: TransportError) -> Error {
    match error {
        TransportError::Connect(error) => Error::Connect(error),
        TransportError::ConnectTimeout => Error::ConnectionTimeout,
        TransportError::ResponseTimeout => Error::ConnectionReadTimeout,
        TransportError::BodyTooLong => Error::HttpResponseBodySize(None),
        TransportError::Protocol(error) => match error.downcast::<hyper::Error>() {
            Ok(error) => Error::Hyper(*error),
            Err(_) => Error::HttpProtocolError,
        },
    }
}
