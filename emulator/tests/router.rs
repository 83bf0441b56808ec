//! The metadata surface as an axum router.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{Method, Request};
use axum::routing::get;
use imds_emulator::config::{Config, HttpTokens, Peers, Span, Switch};
use imds_emulator::fault::{Effect, Fault, ResetAfter, Rule, kinds};
use imds_emulator::journal::{Assertion, Filter, Requests};
use imds_emulator::timeline::TimelineStep;
use imds_emulator::{Builder, Clock, Command, Control, Dialect, Emulator, Preset};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

const DOCUMENT: &str = "/latest/meta-data/iam/security-credentials/emulated-role";

fn builder() -> Builder {
    Emulator::builder()
        .clock(Clock::manual("2026-01-02T03:04:05Z".parse().unwrap()))
        .seed([7; 32])
}

fn mounted() -> (Router, Control) {
    builder().router().unwrap()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

/// The status of a response, its headers and its body.
type Response = (u16, Vec<(String, String)>, String);

async fn call(router: &Router, request: Request<Body>) -> Response {
    let response = router.clone().oneshot(request).await.unwrap();
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    let (status, headers) = (response.status().as_u16(), headers.collect());
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, headers, String::from_utf8(body.into()).unwrap())
}

/// Sends the request over a socket and returns all bytes of the response.
async fn bytes(address: SocketAddr, request: Request<Body>) -> String {
    let (request, _) = request.into_parts();
    let mut text = format!(
        "{} {} HTTP/1.1\r\nHost: imds\r\n",
        request.method, request.uri
    );
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!("{text}\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut response = String::new();
    // A connection that stays open is a failure, not a test that hangs.
    let read = stream.read_to_string(&mut response);
    let read = tokio::time::timeout(Duration::from_secs(10), read).await;
    read.unwrap().unwrap();
    response
}

async fn ask(address: SocketAddr, request: Request<Body>) -> Response {
    let response = bytes(address, request).await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    });
    (status.parse().unwrap(), headers.collect(), body.to_owned())
}

/// Serves an application as its author would, with the addresses of clients.
async fn served(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn token() -> Request<Body> {
    below("")
}

/// A request for a token, below a path.
fn below(path: &str) -> Request<Body> {
    let ttl = [("X-aws-ec2-metadata-token-ttl-seconds", "60")];
    request("PUT", &format!("{path}/latest/api/token"), &ttl)
}

fn read(path: &str, token: &str) -> Request<Body> {
    request("GET", path, &[("X-aws-ec2-metadata-token", token)])
}

/// Requests that differ in their responses.
fn requests(token: &str) -> Vec<Request<Body>> {
    let mut requests: Vec<Request<Body>> = [
        ("GET", DOCUMENT),
        ("HEAD", DOCUMENT),
        ("GET", "/"),
        ("GET", "/latest"),
        ("GET", "/latest/meta-data/"),
        ("GET", "/latest/meta-data"),
        ("HEAD", "/latest/meta-data/"),
        ("GET", "//latest///meta-data/ami-id"),
        ("GET", "/latest/meta%2Ddata/ami-id?query"),
        ("GET", "/latest/dynamic/instance-identity/document"),
        ("GET", "/nowhere"),
        ("HEAD", "/nowhere"),
        ("GET", "/latest/api/token"),
        ("POST", "/latest/meta-data/"),
        ("OPTIONS", "/latest/api/token"),
        ("DELETE", "/latest/api/token"),
        ("PUT", "/2021-01-03/api/token"),
        ("PUT", "/latest/meta-data/ami-id"),
    ]
    .into_iter()
    .map(|(method, path)| {
        let mut request = read(path, token);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        request
    })
    .collect();
    requests.extend([
        request("GET", DOCUMENT, &[]),
        request("HEAD", DOCUMENT, &[]),
        read(DOCUMENT, "no-token"),
        request("PUT", "/latest/api/token", &[]),
        request(
            "PUT",
            "/latest/api/token",
            &[("X-Forwarded-For", "10.0.0.1")],
        ),
    ]);
    requests
}

#[tokio::test]
async fn a_router_answers_without_a_socket() {
    let (router, imds) = mounted();
    let _only_imdsv2 = imds.expect(Assertion::NoImdsv1);
    let (status, _, token) = call(&router, token()).await;
    assert_eq!(status, 200);
    let (status, _, document) = call(&router, read(DOCUMENT, &token)).await;
    assert_eq!(status, 200);
    let key = imds.role_keys().unwrap().access_key_id;
    assert!(document.contains(&format!("\"{key}\"")), "{document}");
    let exchanges = imds.find(&Filter::default()).unwrap().exchanges;
    assert!(exchanges.iter().all(|one| one.connection.is_none()));
    let clients: Vec<_> = exchanges.iter().map(|one| one.client.to_string()).collect();
    assert_eq!(clients, ["0.0.0.0", "0.0.0.0"]);
}

#[tokio::test]
async fn an_application_mounts_it_beside_its_own_routes() {
    let own = || Router::new().route("/health", get(|| async { "healthy" }));
    for (app, path) in [
        (own().nest_service("/imds", mounted().0), "/imds"),
        (own().nest("/imds", mounted().0), "/imds"),
        (own().merge(mounted().0), ""),
        (own().fallback_service(mounted().0), ""),
    ] {
        assert_eq!(
            call(&app, request("GET", "/health", &[])).await.2,
            "healthy"
        );
        let (status, _, token) = call(&app, below(path)).await;
        assert_eq!(status, 200, "{path}");
        let document = read(&format!("{path}{DOCUMENT}"), &token);
        assert_eq!(call(&app, document).await.0, 200, "{path}");
        let nowhere = read(&format!("{path}/nowhere"), &token);
        let (status, headers, _) = call(&app, nowhere).await;
        assert_eq!(status, 404, "{path}");
        let server = headers.iter().find(|(name, _)| name == "server").unwrap();
        assert_eq!(server.1, "EC2ws", "{path}");
    }
}

#[tokio::test]
async fn the_application_provides_the_addresses_of_clients() {
    let (router, imds) = mounted();
    let address = served(Router::new().nest_service("/imds", router)).await;
    let mut rule = Rule::new("theirs", Fault::status(503));
    rule.matches.client = Some("127.0.0.0/8".parse().unwrap());
    imds.put_fault(rule).unwrap();
    assert_eq!(ask(address, below("/imds")).await.0, 503);
    let found = imds.find(&Filter::path("/latest/api/token")).unwrap();
    let clients: Vec<_> = found.exchanges.iter().map(|one| one.client).collect();
    assert_eq!(clients, [address.ip()]);
}

#[tokio::test]
async fn responses_are_those_of_the_emulators_own_listener() {
    for http_tokens in [HttpTokens::Required, HttpTokens::Optional] {
        let with = || builder().with(|config| config.metadata_options.http_tokens = http_tokens);
        let (router, _) = with().router().unwrap();
        let emulator = with().start().await.unwrap();
        let address = served(with().router().unwrap().0).await;
        let issued = call(&router, token()).await;
        assert_eq!(ask(emulator.address(), token()).await, issued);
        assert_eq!(ask(address, token()).await, issued);
        for (at, request) in requests(&issued.2).into_iter().enumerate() {
            let what = format!("{} {}", request.method(), request.uri());
            let again = || requests(&issued.2).into_iter().nth(at).unwrap();
            let expected = ask(emulator.address(), again()).await;
            assert_eq!(call(&router, request).await, expected, "{what}");
            // Another server writes the names of headers in lower case, and all else the same.
            let listened = bytes(emulator.address(), again()).await;
            let mounted = bytes(address, again()).await;
            let lower = |text: &str| {
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                (head.to_lowercase(), body.to_owned())
            };
            assert_eq!(lower(&mounted), lower(&listened), "{what}");
        }
    }
}

#[tokio::test]
async fn every_fault_is_refused_or_looks_as_on_the_emulators_own_listener() {
    let (mut refused, mut compared) = (0, 0);
    // The seed is the same everywhere, so the token is valid everywhere.
    let (_, _, valid) = call(&mounted().0, token()).await;
    for fault in Fault::samples(&mut ChaCha8Rng::seed_from_u64(1)) {
        let with = || builder().with(|config| config.faults = vec![Rule::new("x", fault.clone())]);
        let (router, _) = match with().router() {
            Ok(mounted) => mounted,
            Err(error) => {
                let source = error.source().unwrap().to_string();
                assert!(
                    source.starts_with("the rule \"x\": the fault {"),
                    "{source}"
                );
                refused += 1;
                continue;
            }
        };
        let emulator = with().start().await.unwrap();
        let issued = call(&router, token()).await;
        assert_eq!(ask(emulator.address(), token()).await, issued, "{fault:?}");
        for (at, request) in requests(&valid).into_iter().enumerate().take(8) {
            let what = format!("{fault:?} {} {}", request.method(), request.uri());
            let again = requests(&valid).into_iter().nth(at).unwrap();
            let expected = ask(emulator.address(), again).await;
            assert_eq!(call(&router, request).await, expected, "{what}");
            compared += 1;
        }
    }
    assert!(refused > 15 && compared > 200, "{refused} {compared}");
}

#[tokio::test]
async fn a_fault_that_depends_on_its_parameters_is_refused_for_those_that_need_the_connection() {
    let token_unavailable = |effect| kinds::TokenUnavailable::new().effect(effect);
    let throttle = |effect| kinds::Throttle::new(1).effect(effect);
    let quota = |effect| kinds::Quota::new(1, Span::minutes(1)).effect(effect);
    for (fault, is_refused) in [
        (Fault::drop_header("Content-Length"), true),
        (Fault::drop_header("date"), true),
        (Fault::drop_header("connection"), true),
        (Fault::drop_header("server"), false),
        (kinds::TruncateBody::new().into(), true),
        (
            kinds::TruncateBody::new().fix_content_length().into(),
            false,
        ),
        (token_unavailable(Effect::NoResponse).into(), true),
        (token_unavailable(Effect::Reset).into(), true),
        (token_unavailable(Effect::Status(403)).into(), false),
        (throttle(Effect::NoResponse).into(), true),
        (throttle(Effect::Reset).into(), true),
        (throttle(Effect::Status(429)).into(), false),
        (quota(Effect::NoResponse).into(), true),
        (quota(Effect::Reset).into(), true),
        (quota(Effect::Status(429)).into(), false),
        (
            kinds::ConnectionLimit::new(1)
                .effect(Effect::Status(429))
                .into(),
            true,
        ),
        (Fault::reset_peer(ResetAfter::Accept), true),
        (Fault::reset_peer(ResetAfter::Bytes { bytes: 1 }), true),
    ] {
        let (_, imds) = mounted();
        let put = imds.put_fault(Rule::new("x", fault.clone()));
        assert_eq!(put.is_err(), is_refused, "{fault:?}");
        assert_eq!(imds.faults().is_empty(), is_refused, "{fault:?}");
    }
}

#[tokio::test]
async fn what_acts_on_the_connection_is_refused_later_as_well() {
    let (router, imds) = mounted();
    let outage = || Rule::new("outage", Fault::empty_response());
    let step = || TimelineStep::new("later", vec![Command::Fault(Box::new(outage()))]);
    for error in [
        imds.fault(outage()).unwrap_err(),
        imds.put_fault(outage()).unwrap_err(),
        imds.replace_faults(vec![outage()]).unwrap_err(),
        imds.apply(Command::Fault(Box::new(outage()))).unwrap_err(),
        imds.change(|config| config.faults = vec![outage()])
            .unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "the rule \"outage\": the fault {\"type\":\"empty_response\"} acts on the connection, \
             which a router cannot do; use a fault of the response, or an emulator that listens"
        );
    }
    let error = imds.preset(Preset::ImdsOutage).unwrap_err();
    assert_eq!(error.key(), "the rule \"imds-outage\"");
    let error = imds.set_timeline(vec![step()]).unwrap_err();
    assert_eq!(error.key(), "timeline[0].do[0].the rule \"outage\"");
    let error = imds.change(|config| config.server.dialect = Dialect::Xen);
    assert_eq!(error.unwrap_err().key(), "server.dialect");
    assert_eq!(imds.config().server.dialect, Dialect::Nitro);
    assert!(imds.faults().is_empty() && imds.timeline().is_empty());

    let busy = kinds::Throttle::new(1).effect(Effect::Status(429));
    imds.put_fault(Rule::new("busy", busy)).unwrap();
    assert_eq!(call(&router, token()).await.0, 200);
    assert_eq!(call(&router, token()).await.0, 429);
}

type Change<'a> = &'a dyn Fn(&mut Config);

#[tokio::test]
async fn what_a_router_cannot_honour_is_refused_when_it_is_built() {
    let outage = || Command::Preset(Preset::ImdsOutage);
    let changes: [(Change<'_>, &str); 11] = [
        (
            &|config| config.server.hosts = vec!["::1".parse().unwrap()],
            "server.hosts: \"[::1]\" is not accepted; accepted: [127.0.0.1]; a router does not \
             listen",
        ),
        (
            &|config| config.server.port = 80,
            "server.port: \"80\" is not accepted; accepted: 0 or 1338; a router does not listen",
        ),
        (
            &|config| config.server.dialect = Dialect::Xen,
            "server.dialect: \"xen\" is not accepted; accepted: nitro; a router determines neither \
             the version of HTTP nor the case of header names",
        ),
        (
            &|config| config.server.head_timeout = Span::seconds(1),
            "server.head-timeout: \"1s\" is not accepted; accepted: 10s; a router does not read \
             HTTP",
        ),
        (
            &|config| config.server.peers = vec![Peers::new("10.0.0.0/8".parse().unwrap(), 2)],
            "server.peers: \"10.0.0.0/8\" is not accepted; accepted: no networks; a router cannot \
             leave requests without a response",
        ),
        (
            &|config| config.admin.enabled = true,
            "admin.enabled: \"true\" is not accepted; accepted: false; a router does not listen",
        ),
        (
            &|config| config.journal.process = true,
            "journal.process: \"true\" is not accepted; accepted: false; a router does not know \
             the process of a client",
        ),
        (
            &|config| config.journal.packets = true,
            "journal.packets: \"true\" is not accepted; accepted: false; a router does not know \
             the connection of a client",
        ),
        (
            &|config| config.faults = vec![Rule::new("x", Fault::status(503)).process("curl")],
            "the rule \"x\".match.process: \"curl\" is not accepted; accepted: no condition; a \
             router does not know the process of a client",
        ),
        (
            &|config| config.faults = vec![Rule::new("slow", Fault::slow_close(Span::seconds(1)))],
            "the rule \"slow\": the fault {\"type\":\"slow_close\",\"delay\":\"1s\"} acts on the \
             connection, which a router cannot do; use a fault of the response, or an emulator \
             that listens",
        ),
        (
            &|config| config.timeline = vec![TimelineStep::new("later", vec![outage()])],
            "timeline[0].do[0].the rule \"imds-outage\": the fault {\"type\":\"blackhole\"} acts \
             on the connection, which a router cannot do; use a fault of the response, or an \
             emulator that listens",
        ),
    ];
    for (change, problem) in changes {
        let error = builder().with(change).router().unwrap_err();
        assert_eq!(
            error.to_string(),
            "a router cannot honour the configuration"
        );
        assert_eq!(error.source().unwrap().to_string(), problem);
    }
    let from_a_file = Emulator::builder().config(Config::default());
    assert!(from_a_file.router().is_ok(), "the defaults are accepted");
}

#[tokio::test]
async fn a_request_that_cannot_be_judged_is_answered_with_the_reason() {
    let (router, imds) = mounted();
    let from = |address: &str| {
        let address: SocketAddr = address.parse().unwrap();
        let mut put = token();
        put.extensions_mut().insert(ConnectInfo(address));
        put
    };
    let mut rule = Rule::new("theirs", Fault::status(503));
    rule.matches.client = Some("10.0.0.0/8".parse().unwrap());
    let rule = imds.fault(rule).unwrap();
    let none = imds.expect(Requests::new(0));
    let (status, _, body) = call(&router, token()).await;
    assert_eq!(status, 501);
    assert_eq!(
        body,
        "imds-emulator cannot answer through a router: the rule \"theirs\" has match.client, but \
         the request carries no client address; serve the application with \
         into_make_service_with_connect_info::<SocketAddr>()\n"
    );
    none.verify();
    assert_eq!(call(&router, from("10.1.2.3:4")).await.0, 503);
    assert_eq!(call(&router, from("127.0.0.1:4")).await.0, 200);
    let mock = SocketAddr::from(([10, 1, 2, 3], 4));
    let mocked = router.clone().layer(MockConnectInfo(mock));
    assert_eq!(call(&mocked, token()).await.0, 503);
    drop(rule);
    assert_eq!(call(&router, token()).await.0, 200);

    let ipv6 = |switch| imds.change(|config| config.metadata_options.http_protocol_ipv6 = switch);
    ipv6(Switch::Disabled).unwrap();
    let (status, _, body) = call(&router, from("[::1]:4")).await;
    assert_eq!(status, 501);
    assert_eq!(
        body,
        "imds-emulator cannot answer through a router: the request comes from ::1, but \
         HttpProtocolIpv6 is disabled; enable it, or use IPv4\n"
    );
    assert_eq!(call(&router, from("[::ffff:127.0.0.1]:4")).await.0, 200);
    ipv6(Switch::Enabled).unwrap();
    assert_eq!(call(&router, from("[::1]:4")).await.0, 200);
}

#[tokio::test]
async fn the_router_of_an_emulator_shares_everything_with_its_listener() {
    let emulator = builder().start().await.unwrap();
    let router = emulator.router();
    let (_, _, issued) = call(&router, token()).await;
    assert_eq!(
        ask(emulator.address(), read(DOCUMENT, &issued)).await.0,
        200
    );
    assert_eq!(emulator.count(&Filter::default()).unwrap(), 2);
    let busy = emulator.fault(Rule::new("busy", Fault::status(503)));
    assert_eq!(call(&router, token()).await.0, 503);
    assert_eq!(ask(emulator.address(), token()).await.0, 503);
    drop(busy);
    emulator.stop().await;
    assert_eq!(call(&router, token()).await.0, 200);
}

#[tokio::test]
async fn the_router_of_an_emulator_says_what_only_the_listener_can_do() {
    let emulator = builder()
        .with(|config| config.server.head_timeout = Span::seconds(3))
        .start()
        .await
        .unwrap();
    let router = emulator.router();
    let down = Rule::new("down", Fault::down());
    let outage = Rule::new("outage", Fault::empty_response()).on("/latest/api/token");
    for (rule, fault) in [(down, "down"), (outage, "empty_response")] {
        let rule = emulator.fault(rule).unwrap();
        let none = emulator.expect(Requests::new(0));
        let (status, _, body) = call(&router, token()).await;
        assert_eq!(status, 501);
        assert!(
            body.contains(&format!(
                "the fault {{\"type\":\"{fault}\"}} acts on the connection"
            )),
            "{body}"
        );
        none.verify();
        drop(rule);
        assert_eq!(call(&router, token()).await.0, 200);
    }
    emulator
        .change(|config| config.server.peers = vec![Peers::new("10.0.0.0/8".parse().unwrap(), 2)])
        .unwrap();
    let (status, _, body) = call(&router, token()).await;
    assert_eq!(status, 501);
    assert!(body.contains("server.peers: \"10.0.0.0/8\""), "{body}");
    emulator
        .change(|config| {
            config.server.peers.clear();
            config.server.dialect = Dialect::Xen;
        })
        .unwrap();
    let (status, _, body) = call(&router, token()).await;
    assert_eq!(status, 501);
    assert!(body.contains("server.dialect: \"xen\""), "{body}");
}

#[tokio::test]
async fn steps_of_a_timeline_are_taken_with_the_request_after_they_are_due() {
    let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
    let busy = Rule::new("busy", Fault::status(503));
    let step = TimelineStep::new("later", vec![Command::Fault(Box::new(busy))]);
    let (router, imds) = Emulator::builder()
        .clock(clock.clone())
        .with(|config| config.timeline = vec![step.at(Span::minutes(5))])
        .router()
        .unwrap();
    assert_eq!(call(&router, token()).await.0, 200);
    clock.advance(chrono::TimeDelta::minutes(5)).unwrap();
    assert_eq!(call(&router, token()).await.0, 503);
    assert_eq!(imds.faults().len(), 1);
}

#[tokio::test]
async fn the_emulator_lives_as_long_as_its_router() {
    let (router, imds) = mounted();
    drop(imds);
    assert_eq!(call(&router, token()).await.0, 200);
}

#[test]
fn it_needs_a_runtime() {
    let error = builder().router().unwrap_err();
    assert_eq!(error.to_string(), "cannot start outside a tokio runtime");
}
