//! Targets for what the emulator reads from its sockets: HTTP, and requests to the admin API.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use imds_emulator::config::{HttpTokens, Switch};
use imds_emulator::journal::Filter;
use imds_emulator::{Clock, Emulator};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};

use super::emulator::now;

/// The longest time for a response.
const PATIENCE: Duration = Duration::from_secs(5);

/// The number of inputs after which the emulator is replaced, because rules that expire leave timers behind.
const LIFE: u32 = 5_000;

/// The bytes that a client sends to the emulator.
///
/// The connection must end after the client's last byte, no response may be an internal error, no token may be in
/// the journal, and the next client must be answered.
pub fn http(bytes: &[u8]) {
    static BENCH: Mutex<Option<Bench>> = Mutex::new(None);
    on(&BENCH, async |emulator| {
        let came = exchange(emulator.address(), bytes).await;
        assert!(
            came.is_empty() || came.starts_with(b"HTTP/1."),
            "{}",
            shown(&came)
        );
        assert!(
            !came.windows(13).any(|part| part.starts_with(b"HTTP/1.1 5")),
            "{}",
            shown(&came)
        );
        let found = emulator.find(&Filter::default()).unwrap();
        for exchange in &found.exchanges {
            let agent = exchange.user_agent.as_deref().unwrap_or_default();
            for text in [&exchange.method, &exchange.path, agent] {
                assert!(text.len() <= 1024 && !text.contains("AQAEA"), "{text}");
            }
        }
        emulator.clear_journal();
        let head = "GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        let response = Response::read(&exchange(emulator.address(), head.as_bytes()).await);
        assert_eq!(
            (response.status, response.body.as_slice()),
            (200, b"i-0a1b2c3d4e5f67890".as_slice())
        );
    });
}

/// A request to the admin API: `METHOD PATH` in the first line, and a body of JSON after it.
///
/// There must be a response that is not 5xx. An error must be a problem as in RFC 9457. After any change, the
/// configuration must be valid, readable and patchable, and the instance must be up.
pub fn admin(bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n');
    let (line, body) = bytes.split_at(line.unwrap_or(bytes.len()));
    let body = body.get(1..).unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    let Some((method, path)) = line.split_once(' ') else {
        return;
    };
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_method || !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return;
    }
    // This stream never ends.
    if path.contains("requests/stream") {
        return;
    }
    static BENCH: Mutex<Option<Bench>> = Mutex::new(None);
    on(&BENCH, async |emulator| {
        let response = ask(emulator, method, path, body).await;
        response.check();
        // A request that changes nothing needs no further checks.
        if !(200..300).contains(&response.status) || matches!(method, "GET" | "HEAD") {
            return;
        }
        assert!(emulator.config().check().is_ok());
        for path in [
            "/__admin/faults",
            "/__admin/timeline",
            "/__admin/metrics",
            "/__admin/requests",
        ] {
            assert_eq!(ask(emulator, "GET", path, b"").await.status, 200, "{path}");
        }
        for path in [
            "/__admin/instance",
            "/__admin/events",
            "/__admin/metadata-options",
        ] {
            let response = ask(emulator, "PATCH", path, b"{}").await;
            assert_eq!(response.status, 200, "{path}: {}", shown(&response.body));
        }
        let options = emulator.config().metadata_options;
        if emulator.faults().is_empty() && options.http_endpoint == Switch::Enabled {
            let head = "GET /latest/meta-data/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
            let status =
                Response::read(&exchange(emulator.address(), head.as_bytes()).await).status;
            let is_needed = options.http_tokens == HttpTokens::Required;
            assert_eq!(status, if is_needed { 401 } else { 200 });
        }
        emulator.clock().freeze().unwrap();
        emulator.clock().set(now()).unwrap();
        emulator.reset().unwrap();
        emulator.heal_all();
    });
}

/// An emulator with its own runtime, which runs on the thread that waits for it.
struct Bench {
    runtime: Runtime,
    emulator: Emulator,
    used: u32,
}

impl Bench {
    fn new() -> Self {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let builder = Emulator::builder()
            .clock(Clock::manual(now()))
            .seed([7; 32])
            .admin((Ipv4Addr::LOCALHOST, 0).into())
            .with(|config| {
                config.metadata_options.http_tokens = HttpTokens::Optional;
                config.server.keep_alive = true;
                config.journal.capacity = 64;
            });
        let emulator = runtime.block_on(builder.start()).unwrap();
        Self {
            runtime,
            emulator,
            used: 0,
        }
    }
}

/// Runs `target` on an emulator. The runtime catches panics of the emulator's tasks; this function repeats them.
fn on(bench: &Mutex<Option<Bench>>, target: impl AsyncFnOnce(&Emulator)) {
    let mut bench = bench.lock().unwrap_or_else(PoisonError::into_inner);
    // An emulator on which a target panicked is not used again.
    let mut ours = bench
        .take()
        .filter(|bench| bench.used < LIFE)
        .unwrap_or_else(Bench::new);
    ours.used += 1;
    let before = panics();
    ours.runtime.block_on(target(&ours.emulator));
    assert_eq!(panics(), before, "a task of the emulator panicked");
    *bench = Some(ours);
}

/// The number of panics on this thread.
fn panics() -> u32 {
    thread_local! {
        static PANICS: Cell<u32> = const { Cell::new(0) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let _ = PANICS.try_with(|panics| panics.set(panics.get() + 1));
            before(info);
        }));
    });
    PANICS.with(Cell::get)
}

/// How long to wait for a response before closing the sending side.
const PAUSE: Duration = Duration::from_millis(2);

/// Sends all bytes, and reads the whole response.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Otherwise, the kernel keeps each of many thousand connections for a minute.
    stream.set_zero_linger().unwrap();
    let mut came = Vec::new();
    let exchanged = async {
        // The server may close the connection before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut is_open = true;
        while is_open {
            match tokio::time::timeout(PAUSE, stream.read_buf(&mut came)).await {
                Ok(Ok(1..)) => {}
                Ok(_) => is_open = false,
                Err(_) => break,
            }
        }
        if is_open {
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut came).await;
        }
    };
    let exchanged = tokio::time::timeout(PATIENCE, exchanged).await;
    assert!(
        exchanged.is_ok(),
        "the connection stays open after {}",
        shown(&came)
    );
    came
}

async fn ask(emulator: &Emulator, method: &str, path: &str, body: &[u8]) -> Response {
    let address = emulator
        .admin_url()
        .and_then(|url| url.strip_prefix("http://"));
    let address = address
        .and_then(|address| address.parse().ok())
        .expect("there is an admin API");
    let length = body.len();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    Response::read(&exchange(address, &request).await)
}

struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Response {
    #[track_caller]
    fn read(came: &[u8]) -> Self {
        let end = came
            .windows(4)
            .position(|part| part == b"\r\n\r\n")
            .expect("there is a response");
        let (head, body) = came.split_at(end);
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.expect("the response has a status"),
            head,
            body: body.get(4..).unwrap_or_default().to_vec(),
        }
    }

    /// What must hold for every response of the admin API.
    fn check(&self) {
        let Self { status, head, body } = self;
        assert!((200..500).contains(status), "{head}");
        if *status < 400 {
            return;
        }
        // Bytes that are not HTTP do not reach the API.
        if body.is_empty() && matches!(status, 400 | 414 | 431) {
            return;
        }
        assert!(
            head.contains("content-type: application/problem+json"),
            "{head}"
        );
        if head.contains("transfer-encoding") {
            return;
        }
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        assert_eq!(problem.get("status"), Some(&Value::from(*status)));
        assert!(
            problem
                .get("detail")
                .and_then(Value::as_str)
                .is_some_and(|detail| !detail.is_empty())
        );
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
