//! Faults of the connection, and of time.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use imds_emulator::config::Span;
use imds_emulator::fault::kinds::{ConnectionLimit, Down, HopLimit, Latency, Slicer, Throttle};
use imds_emulator::fault::{Distribution, Effect, Family, Fault, ResetAfter, Rule};
use imds_emulator::imds::{Delivery, Step};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::alone::{alone, ask};
use crate::bench::{Bench, OK, request, send};

/// How a connection ended.
#[derive(Debug, PartialEq)]
enum End {
    Closed,
    Reset,
    /// Nothing came for a while, and the connection is open.
    NoResponse,
}

const A_WHILE: Duration = Duration::from_millis(250);

fn span(milliseconds: u64) -> Span {
    format!("{milliseconds}ms").parse().unwrap()
}

/// Sends a request and reads what comes, until the end or until nothing comes for a while.
async fn talk(bench: &Bench, head: &str) -> (String, End) {
    let mut stream = TcpStream::connect(bench.imds.address()).await.unwrap();
    let _ = stream.write_all(request(head).as_bytes()).await;
    let mut received = Vec::new();
    let end = loop {
        let mut bytes = [0; 4096];
        match tokio::time::timeout(A_WHILE, stream.read(&mut bytes)).await {
            Err(_) => break End::NoResponse,
            Ok(Ok(0)) => break End::Closed,
            Ok(Ok(count)) => received.extend(bytes.iter().take(count)),
            Ok(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
                break End::Reset;
            }
        }
    };
    (String::from_utf8_lossy(&received).into_owned(), end)
}

/// Requests for the same leaf, with a token from before the fault.
struct Leaf {
    bench: Bench,
    get: String,
}

const BODY: &str = "ami-0123456789abcdef0";

impl Leaf {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let token = bench.token("21600").await.body;
        Self {
            get: format!(
                "GET /latest/meta-data/ami-id HTTP/1.1\nX-aws-ec2-metadata-token: {token}"
            ),
            bench,
        }
    }

    async fn under(&self, fault: impl Into<Fault>) -> (String, End) {
        let _guard = self.bench.imds.fault(Rule::new("fault", fault)).unwrap();
        talk(&self.bench, &self.get).await
    }

    async fn is_well(&self) -> bool {
        let (response, end) = talk(&self.bench, &self.get).await;
        response.starts_with(OK) && response.ends_with(BODY) && end == End::Closed
    }
}

#[tokio::test]
async fn blackhole_answers_nothing_and_stays_open() {
    let leaf = Leaf::new().await;
    let fault = leaf.under(Fault::blackhole()).await;
    assert_eq!(fault, (String::new(), End::NoResponse));
    assert!(leaf.is_well().await, "it is healed with its guard");
}

#[tokio::test]
async fn reset_peer_resets_at_once_or_before_the_response_or_in_it() {
    let leaf = Leaf::new().await;
    for after in [ResetAfter::Accept, ResetAfter::Request] {
        let fault = leaf.under(Fault::reset_peer(after)).await;
        assert_eq!(fault, (String::new(), End::Reset), "{after:?}");
    }
    let after = ResetAfter::Bytes { bytes: 4 };
    let guard = leaf
        .bench
        .imds
        .fault(Rule::new("fault", Fault::reset_peer(after)))
        .unwrap();
    // What was sent before a reset may be lost to the reader; either is what a client can see.
    let (response, end) = talk(&leaf.bench, &leaf.get).await;
    assert_eq!(end, End::Reset);
    assert!(
        response.is_empty() || response.ends_with("\r\n\r\nami-"),
        "{response}"
    );
    guard.heal();
    assert!(leaf.is_well().await);
}

#[tokio::test]
async fn empty_response_closes_without_a_byte() {
    let leaf = Leaf::new().await;
    let fault = leaf.under(Fault::empty_response()).await;
    assert_eq!(fault, (String::new(), End::Closed));
}

#[tokio::test]
async fn down_refuses_connections_and_the_port_comes_back() {
    let bench = Bench::with(|config| {
        config.server.hosts = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    })
    .await;
    let refused = async |address| matches!(TcpStream::connect(address).await, Err(error) if error.kind() == ErrorKind::ConnectionRefused);
    // It takes a moment until the port is closed or open.
    let becomes = async |address, to: bool| {
        let began = Instant::now();
        while refused(address).await != to {
            assert!(began.elapsed() < Duration::from_secs(5), "{address} {to}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let [four, six] = bench.imds.addresses() else {
        panic!("two addresses");
    };
    let down = |family| {
        bench
            .imds
            .fault(Rule::new("down", Down::new().family(family)))
            .unwrap()
    };
    let guard = down(None);
    becomes(*four, true).await;
    becomes(*six, true).await;
    guard.heal();
    becomes(*four, false).await;
    becomes(*six, false).await;
    let guard = down(Some(Family::Ipv6));
    becomes(*six, true).await;
    assert!(!refused(*four).await);
    guard.heal();
    becomes(*six, false).await;
    assert_eq!(bench.token("60").await.status, OK);
}

#[tokio::test]
async fn no_other_server_gets_the_port_while_it_is_down() {
    let bench = Bench::new().await;
    let address = bench.imds.address();
    // The kernel remembers this connection for a minute, which must not keep the port closed.
    assert_eq!(bench.token("60").await.status, OK);
    let guard = bench.imds.fault(Rule::new("down", Fault::down())).unwrap();
    let wait_for = async |refused: bool| {
        let began = Instant::now();
        while TcpStream::connect(address).await.is_err() != refused {
            assert!(began.elapsed() < Duration::from_secs(5), "{refused}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    wait_for(true).await;
    let error = TcpListener::bind(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
    guard.heal();
    wait_for(false).await;
    assert_eq!(bench.token("60").await.status, OK);
}

#[tokio::test]
async fn down_keeps_to_its_time_on_the_clock() {
    let bench = Bench::new().await;
    let mut rule = Rule::new("down", Fault::down());
    rule.when.after = Some(Span::minutes(1));
    rule.when.duration = Some(Span::minutes(1));
    let _guard = bench.imds.fault(rule).unwrap();
    assert_eq!(bench.token("60").await.status, OK);
    let wait_for = async |refused: bool| {
        let began = Instant::now();
        while TcpStream::connect(bench.imds.address()).await.is_err() != refused {
            assert!(began.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bench.pass(60);
    wait_for(true).await;
    bench.pass(60);
    wait_for(false).await;
}

#[tokio::test]
async fn hop_limit_keeps_the_token_from_coming_but_not_the_data() {
    let leaf = Leaf::new().await;
    let mut rule = Rule::new("hops", Fault::hop_limit());
    rule.matches.client = Some("127.0.0.0/8".parse().unwrap());
    let guard = leaf.bench.imds.fault(rule.clone()).unwrap();
    let put = "PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    assert_eq!(
        talk(&leaf.bench, put).await,
        (String::new(), End::NoResponse)
    );
    assert!(leaf.is_well().await);
    guard.heal();
    rule.matches.client = Some("10.0.0.0/8".parse().unwrap());
    let _guard = leaf.bench.imds.fault(rule).unwrap();
    assert_eq!(leaf.bench.token("60").await.status, OK);
}

#[tokio::test]
async fn hop_limit_can_reset_the_connection_after_a_wait() {
    let leaf = Leaf::new().await;
    let fault = HopLimit::new().reset_after(span(100));
    let _guard = leaf.bench.imds.fault(Rule::new("hops", fault)).unwrap();
    let put = "PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    let began = Instant::now();
    assert_eq!(talk(&leaf.bench, put).await, (String::new(), End::Reset));
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert!(leaf.is_well().await);
}

#[tokio::test]
async fn slow_close_comes_after_a_whole_response() {
    let leaf = Leaf::new().await;
    let began = Instant::now();
    let (response, end) = leaf.under(Fault::slow_close(span(150))).await;
    assert!(response.ends_with(BODY), "{response}");
    assert_eq!(end, End::Closed);
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn latency_delays_and_delays_add_up() {
    let leaf = Leaf::new().await;
    let latency = |milliseconds| Fault::latency(span(milliseconds));
    let rules = [("one", latency(60)), ("two", latency(50))];
    let _guards = rules.map(|(name, fault)| leaf.bench.imds.fault(Rule::new(name, fault)).unwrap());
    let uniform =
        Latency::new(Span::default())
            .jitter(span(10))
            .distribution(Distribution::Uniform {
                lower: span(30),
                upper: span(40),
            });
    let began = Instant::now();
    let (response, end) = leaf.under(uniform).await;
    assert!(response.ends_with(BODY));
    assert_eq!(end, End::Closed);
    // 60 + 50 + at least 30 - 10.
    assert!(
        began.elapsed() >= Duration::from_millis(130),
        "{:?}",
        began.elapsed()
    );
}

/// The pieces in which a response comes, with the time of each.
async fn pieces(leaf: &Leaf, fault: impl Into<Fault>) -> Vec<(Duration, String)> {
    let _guard = leaf.bench.imds.fault(Rule::new("fault", fault)).unwrap();
    let mut stream = TcpStream::connect(leaf.bench.imds.address()).await.unwrap();
    stream
        .write_all(request(&leaf.get).as_bytes())
        .await
        .unwrap();
    let began = Instant::now();
    let mut pieces = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let count = stream.read(&mut bytes).await.unwrap();
        if count == 0 {
            return pieces;
        }
        let text = String::from_utf8(bytes.iter().take(count).copied().collect()).unwrap();
        pieces.push((began.elapsed(), text));
    }
}

#[tokio::test]
async fn slow_headers_come_after_the_status_line() {
    let leaf = Leaf::new().await;
    let pieces = pieces(&leaf, Fault::slow_headers(span(100))).await;
    let (_, first) = &pieces[0];
    assert_eq!(first, "HTTP/1.1 200 OK\r\n");
    let (late, second) = &pieces[1];
    assert!(*late >= Duration::from_millis(95), "{late:?}");
    assert!(second.starts_with("X-Aws-Ec2-Metadata-Token-Ttl-Seconds: "));
    let all: String = pieces.into_iter().map(|(_, piece)| piece).collect();
    assert!(all.ends_with(BODY));
}

#[tokio::test]
async fn slow_body_dribbles() {
    let leaf = Leaf::new().await;
    let fault = Fault::slow_body(4, span(120));
    let pieces = pieces(&leaf, fault).await;
    let (end, _) = pieces.last().unwrap();
    assert!(*end >= Duration::from_millis(115), "{end:?}");
    assert!(pieces.len() >= 4, "{pieces:?}");
    let all: String = pieces.into_iter().map(|(_, piece)| piece).collect();
    assert!(all.starts_with(OK) && all.ends_with(BODY), "{all}");
    assert!(all.contains("Content-Length: 21\r\n"));
}

#[tokio::test]
async fn slicer_sends_small_pieces() {
    let leaf = Leaf::new().await;
    let fault = Slicer::new(40, span(5)).variation(10);
    let pieces = pieces(&leaf, fault).await;
    assert!(pieces.len() >= 4, "{pieces:?}");
    let all: String = pieces.into_iter().map(|(_, piece)| piece).collect();
    assert!(all.starts_with(OK) && all.ends_with(BODY), "{all}");
}

/// What happens on the connection of a request for the same leaf.
fn script(fault: impl Into<Fault>) -> Vec<Step> {
    let imds = alone(vec![Rule::new("fault", fault)]);
    match ask(&imds, "GET", "/latest/meta-data/ami-id").delivery {
        Delivery::Script(steps) => steps,
        Delivery::Response(_) | Delivery::NoResponse => Vec::new(),
    }
}

#[test]
fn pauses_and_pieces_are_as_long_as_they_should_be() {
    let steps = script(Fault::slow_body(4, span(120)));
    let [Step::Send(_), body @ .., Step::Close] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    let expected: Vec<Step> = ["ami-01", "234567", "89abcd", "ef0"]
        .into_iter()
        .flat_map(|piece| {
            [
                Step::Wait(Duration::from_millis(30)),
                Step::Send(piece.into()),
            ]
        })
        .collect();
    assert_eq!(body, expected);

    let steps = script(Slicer::new(20, span(5)).variation(5));
    let mut lengths: Vec<usize> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Send(piece) => Some(piece.len()),
            _ => None,
        })
        .collect();
    assert!(lengths.pop().unwrap() <= 25, "the last one is what is left");
    assert!(lengths.iter().all(|length| (15..=25).contains(length)));
    assert!(lengths.iter().any(|length| *length < 20), "{lengths:?}");
    assert!(lengths.iter().any(|length| *length > 20), "{lengths:?}");
}

#[tokio::test]
async fn stall_stops_in_the_body_and_stays_open() {
    let leaf = Leaf::new().await;
    let (response, end) = leaf.under(Fault::stall(4)).await;
    assert!(response.contains("Content-Length: 21\r\n"));
    assert!(response.ends_with("\r\n\r\nami-"), "{response}");
    assert_eq!(end, End::NoResponse);
}

#[tokio::test]
async fn throttle_refuses_what_is_too_much_in_each_way() {
    for (effect, end) in [
        (Effect::NoResponse, End::NoResponse),
        (Effect::Reset, End::Reset),
        (Effect::Status(503), End::Closed),
    ] {
        let leaf = Leaf::new().await;
        let fault = Throttle::new(2).burst(3).effect(effect);
        let _guard = leaf.bench.imds.fault(Rule::new("throttle", fault)).unwrap();
        for _ in 0..3 {
            assert!(leaf.is_well().await);
        }
        let (response, how) = talk(&leaf.bench, &leaf.get).await;
        assert_eq!(how, end);
        if let Effect::Status(_) = effect {
            assert!(
                response.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
                "{response}"
            );
        }
        // Two a second come back, on the emulator's clock.
        leaf.bench.pass(1);
        assert!(leaf.is_well().await && leaf.is_well().await);
        assert!(!leaf.is_well().await);
    }
}

#[tokio::test]
async fn quota_lets_so_many_through_in_a_window() {
    let leaf = Leaf::new().await;
    let fault = Fault::quota(2, Span::minutes(1));
    let _guard = leaf.bench.imds.fault(Rule::new("quota", fault)).unwrap();
    for _ in 0..2 {
        assert!(leaf.is_well().await && leaf.is_well().await);
        let (response, _) = talk(&leaf.bench, &leaf.get).await;
        assert!(
            response.starts_with("HTTP/1.1 429 Too Many Requests\r\n"),
            "{response}"
        );
        leaf.bench.pass(60);
    }
}

#[tokio::test]
async fn connection_limit_counts_those_that_are_open() {
    let leaf = Leaf::new().await;
    let fault = ConnectionLimit::new(2).effect(Effect::Status(503));
    let _guard = leaf.bench.imds.fault(Rule::new("limit", fault)).unwrap();
    assert!(leaf.is_well().await);
    let address = leaf.bench.imds.address();
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(b"GET / HT").await.unwrap();
        others.push(other);
    }
    // They are accepted in their order, before this one.
    let response = send(address, request(&leaf.get).as_bytes()).await;
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    drop(others);
    let began = Instant::now();
    while !leaf.is_well().await {
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
