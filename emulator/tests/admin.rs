//! The admin API, over its socket.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use imds_emulator::{Clock, Emulator};
use serde_json::{Value, json};

struct Bench {
    imds: Emulator,
    runtime: tokio::runtime::Runtime,
}

struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Response {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A request on a connection of its own.
fn ask(address: &str, head: &str, body: &str) -> Response {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    Response {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let imds = runtime
            .block_on(
                Emulator::builder()
                    .role("the-role")
                    .clock(Clock::manual("2026-01-02T03:04:05Z".parse().unwrap()))
                    .admin("127.0.0.1:0".parse().unwrap())
                    .start(),
            )
            .unwrap();
        Self { imds, runtime }
    }

    fn admin(&self) -> &str {
        self.imds
            .admin_url()
            .unwrap()
            .strip_prefix("http://")
            .unwrap()
    }

    fn api(&self, method: &str, path: &str, body: impl Into<Option<Value>>) -> Response {
        let head = format!("{method} /__admin/{path} HTTP/1.1\r\nHost: localhost");
        match body.into() {
            Some(body) => {
                let head = format!("{head}\r\nContent-Type: application/json");
                ask(self.admin(), &head, &body.to_string())
            }
            None => ask(self.admin(), &head, ""),
        }
    }

    /// What must be answered with 200.
    fn get(&self, path: &str) -> Value {
        let response = self.api("GET", path, None);
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        response.json()
    }

    /// The status of a request for a token.
    fn token(&self) -> u16 {
        let put = "PUT /latest/api/token HTTP/1.1\r\nHost: imds\r\nX-aws-ec2-metadata-token-ttl-seconds: 60";
        ask(&self.imds.address().to_string(), put, "").status
    }

    /// What must be refused with this status and about this field.
    fn refused(&self, method: &str, path: &str, body: Value, status: u16, field: &str) -> String {
        let response = self.api(method, path, body);
        assert_eq!(response.status, status, "{path}: {}", response.body);
        assert!(
            response
                .head
                .contains("content-type: application/problem+json")
        );
        let problem = response.json();
        assert_eq!(problem["status"], status);
        assert_eq!(
            problem["field"].as_str().unwrap_or_default(),
            field,
            "{problem}"
        );
        problem["detail"].as_str().unwrap().to_owned()
    }
}

fn rule(name: &str, code: u16) -> Value {
    json!({"name": name, "match": {"path": "/latest/api/token"}, "fault": {"type": "status", "code": code}})
}

#[test]
fn faults_are_added_shown_replaced_and_taken_away() {
    let bench = Bench::new();
    let added = bench.api("POST", "faults", rule("one fault", 500));
    assert_eq!(added.status, 201, "{}", added.body);
    assert!(added.head.contains("location: /__admin/faults/one%20fault"));
    assert_eq!(bench.token(), 500);
    let one = bench.get("faults/one%20fault");
    assert_eq!(one["applied"], 1);
    assert_eq!(one["rule"]["fault"]["code"], 500);
    assert_eq!(
        bench
            .api("PUT", "faults/one%20fault", rule("one fault", 502))
            .status,
        200
    );
    assert_eq!(bench.token(), 502);
    let detail = bench.refused("POST", "faults", rule("one fault", 500), 409, "name");
    assert!(detail.contains("\"one fault\""), "{detail}");
    bench.refused("PUT", "faults/other", rule("one fault", 500), 422, "name");
    let replaced = bench.api("PUT", "faults", json!([rule("a", 503), rule("b", 504)]));
    assert_eq!(
        (replaced.status, replaced.json().as_array().unwrap().len()),
        (200, 2)
    );
    assert_eq!(bench.token(), 503);
    bench.refused(
        "PUT",
        "faults",
        json!([rule("a", 503), rule("a", 504)]),
        422,
        "faults[1].name",
    );
    assert_eq!(
        bench.get("faults").as_array().unwrap().len(),
        2,
        "the old ones stay"
    );
    assert_eq!(bench.api("DELETE", "faults/a", None).status, 204);
    assert_eq!(bench.api("DELETE", "faults/a", None).status, 404);
    assert_eq!(bench.api("GET", "faults/a", None).status, 404);
    assert_eq!(bench.api("DELETE", "faults", None).status, 204);
    assert_eq!(bench.token(), 200);
}

#[test]
fn errors_name_the_field() {
    let bench = Bench::new();
    bench.refused("POST", "faults", rule("x", 9), 422, "fault.code");
    bench.refused("POST", "faults", json!({"name": "x"}), 422, "");
    let wrong = json!({"name": "x", "fault": {"type": "throttle", "effect": "quiet"}});
    let detail = bench.refused("POST", "faults", wrong, 422, "fault.effect");
    assert!(
        detail.starts_with("\"quiet\" is not accepted; accepted: `no-response`"),
        "{detail}"
    );
    let wrong = json!([{"name": "x", "fault": {"type": "replace", "headers": {"a": 5}}}]);
    bench.refused("PUT", "faults", wrong, 422, "[0].fault.headers.a");
    let wrong = json!({"name": "x", "when": {"cuont": 1}, "fault": {"type": "blackhole"}});
    let detail = bench.refused("POST", "faults", wrong, 422, "when.cuont");
    assert!(
        detail.contains("`cuont`") && detail.contains("`count`"),
        "{detail}"
    );
    bench.refused(
        "PATCH",
        "instance",
        json!({"account-id": "12"}),
        422,
        "instance.account-id",
    );
    bench.refused(
        "PATCH",
        "metadata-options",
        json!({"HttpTokens": "no"}),
        422,
        "HttpTokens",
    );
    bench.refused(
        "POST",
        "requests/find",
        json!({"path": "["}),
        422,
        "filter.path",
    );
    bench.refused(
        "POST",
        "requests/verify",
        json!([{"order": ["["]}]),
        422,
        "assertions[0].order[0]",
    );
    bench.refused("POST", "clock/advance", json!({"by": "soon"}), 422, "by");
    let post = "POST /__admin/faults HTTP/1.1\r\nHost: localhost";
    assert_eq!(ask(bench.admin(), post, "{}").status, 415);
    let post = format!("{post}\r\nContent-Type: application/json");
    assert_eq!(ask(bench.admin(), &post, "{").status, 400);
    assert_eq!(
        ask(bench.admin(), &post, &"x".repeat(3_000_000)).status,
        413
    );
    assert_eq!(bench.api("GET", "requests?limit=x", None).status, 400);
    assert_eq!(bench.api("GET", "nowhere", None).status, 404);
    let response = bench.api("POST", "presets", None);
    assert_eq!(response.status, 405);
    assert!(response.head.contains("allow: get"), "{}", response.head);
}

#[test]
fn presets_clock_and_options() {
    let bench = Bench::new();
    assert_eq!(bench.get("presets").as_array().unwrap().len(), 11);
    assert_eq!(bench.api("POST", "presets/imdsv1-only", None).status, 200);
    assert_eq!(bench.token(), 404);
    assert_eq!(bench.api("POST", "presets/imdsv1-only", None).status, 409);
    assert_eq!(bench.api("DELETE", "presets/imdsv1-only", None).status, 204);
    assert_eq!(bench.api("DELETE", "presets/imdsv1-only", None).status, 404);
    assert_eq!(bench.api("POST", "presets/none", None).status, 404);

    assert_eq!(
        bench.get("clock"),
        json!({"now": "2026-01-02T03:04:05Z", "running": false})
    );
    let advanced = bench
        .api("POST", "clock/advance", json!({"by": "6h"}))
        .json();
    assert_eq!(advanced["now"], "2026-01-02T09:04:05Z");
    let set = bench.api(
        "PATCH",
        "clock",
        json!({"now": "2027-01-01T00:00:00Z", "running": true}),
    );
    assert_eq!(set.json()["running"], true);
    assert!(
        set.json()["now"]
            .as_str()
            .unwrap()
            .starts_with("2027-01-01T00:00:0")
    );
    bench.api("PATCH", "clock", json!({"running": false}));

    let options = bench.api(
        "PATCH",
        "metadata-options",
        json!({"HttpTokens": "optional"}),
    );
    assert_eq!(options.json()["HttpTokens"], "optional");
    assert_eq!(bench.get("metadata-options")["HttpTokens"], "optional");
    let instance = bench.api(
        "PATCH",
        "instance",
        json!({"tags": {"Name": null, "a": "b"}}),
    );
    assert_eq!(instance.json()["tags"], json!({"a": "b"}));
    assert_eq!(bench.imds.config().instance.tags.len(), 1);
}

#[test]
fn events_credentials_tokens_and_scenarios() {
    let bench = Bench::new();
    let events = bench.api("PATCH", "events", json!({"rebalance-recommendation": {}}));
    assert_eq!(
        events.json()["rebalance-recommendation"]["announced"],
        "2026-01-02T03:04:05Z"
    );
    assert_eq!(bench.api("DELETE", "events", None).status, 204);
    assert_eq!(bench.get("events")["rebalance-recommendation"], Value::Null);
    for path in ["credentials/rotate", "tokens/revoke"] {
        assert_eq!(bench.api("POST", path, None).status, 204);
    }
    assert_eq!(
        bench.get("scenarios/mine/state"),
        json!({"state": "Started"})
    );
    assert_eq!(
        bench
            .api("PUT", "scenarios/mine/state", json!({"state": "over"}))
            .status,
        200
    );
    assert_eq!(bench.imds.scenario("mine"), "over");
    bench.refused(
        "PUT",
        "scenarios/mine/state",
        json!({"state": ""}),
        422,
        "state",
    );
}

#[test]
fn the_journal_is_listed_found_counted_verified_and_cleared() {
    let bench = Bench::new();
    for _ in 0..3 {
        bench.token();
    }
    let numbers = |found: &Value| -> Vec<u64> {
        let exchanges = found["exchanges"].as_array().unwrap();
        exchanges
            .iter()
            .map(|exchange| exchange["number"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(numbers(&bench.get("requests")), [1, 2, 3]);
    assert_eq!(numbers(&bench.get("requests?since=1&limit=1")), [3]);
    let found = bench
        .api(
            "POST",
            "requests/find",
            json!({"method": "PUT", "since": 2}),
        )
        .json();
    assert_eq!(numbers(&found), [3]);
    let count = bench
        .api("POST", "requests/count", json!({"status": 200}))
        .json();
    assert_eq!(count, json!({"count": 3}));
    let report = bench
        .api(
            "POST",
            "requests/verify",
            json!(["no_imdsv1", {"max_token_puts": 1}]),
        )
        .json();
    assert_eq!(report["holds"], false);
    assert_eq!(report["verdicts"][0]["holds"], true);
    assert_eq!(
        report["verdicts"][1]["exchanges"].as_array().unwrap().len(),
        2
    );
    let metrics = bench.api("GET", "metrics", None);
    assert!(
        metrics
            .head
            .contains("content-type: text/plain; version=0.0.4")
    );
    let line = "imds_requests_total{imds=\"v2\",outcome=\"answered\",status=\"200\"} 3\n";
    assert!(metrics.body.contains(line), "{}", metrics.body);
    assert_eq!(bench.api("DELETE", "requests", None).status, 204);
    assert!(numbers(&bench.get("requests")).is_empty());
}

#[test]
fn the_journal_can_be_followed_and_following_does_not_keep_it_from_stopping() {
    let bench = Bench::new();
    let mut stream = TcpStream::connect(bench.admin()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    write!(
        stream,
        "GET /__admin/requests/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "HTTP/1.1 200 OK");
    // The server sends the head once it has subscribed to the exchanges.
    while !lines.next().unwrap().unwrap().is_empty() {}
    bench.token();
    let data = lines
        .find_map(|line| line.unwrap().strip_prefix("data: ").map(str::to_owned))
        .unwrap();
    let exchange: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(exchange["path"], "/latest/api/token");
    let began = std::time::Instant::now();
    bench.runtime.block_on(bench.imds.stop());
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_reset_makes_everything_as_at_the_start() {
    let bench = Bench::new();
    bench.api("POST", "faults", rule("x", 500));
    bench.api(
        "PATCH",
        "instance",
        json!({"instance-type": "m7g.large", "iam": {"role": "other"}}),
    );
    bench.api("PUT", "scenarios/mine/state", json!({"state": "over"}));
    bench.token();
    assert_eq!(bench.api("POST", "reset", None).status, 204);
    assert_eq!(bench.get("faults"), json!([]));
    assert_eq!(bench.get("instance")["instance-type"], "t3.micro");
    assert_eq!(bench.get("instance")["iam"]["role"], "the-role");
    assert_eq!(
        bench.get("scenarios/mine/state"),
        json!({"state": "Started"})
    );
    assert_eq!(bench.token(), 200);
    assert_eq!(bench.get("requests")["exchanges"][0]["number"], 1);
}

#[test]
fn pages_of_the_web_cannot_use_it() {
    let bench = Bench::new();
    for (head, status) in [
        ("Host: localhost:1339", 200),
        ("Host: 127.0.0.1", 200),
        ("Host: [::1]:1339", 200),
        ("Host: rebound.example", 403),
        ("Host: localhost\r\nOrigin: http://evil.example", 403),
    ] {
        let head = format!("GET /__admin/health HTTP/1.1\r\n{head}");
        assert_eq!(ask(bench.admin(), &head, "").status, status, "{head}");
    }
}

#[test]
fn it_is_not_on_the_metadata_port_and_describes_itself() {
    let bench = Bench::new();
    let get = "GET /__admin/health HTTP/1.1\r\nHost: imds";
    assert_eq!(ask(&bench.imds.address().to_string(), get, "").status, 401);
    assert_eq!(bench.get("health"), json!({"status": "ok"}));
    assert_eq!(bench.get("ready"), json!({"status": "ok"}));
    let description = bench.get("openapi.json");
    assert_eq!(description, imds_emulator::openapi());
    let paths = description["paths"].as_object().unwrap();
    for path in [
        "faults",
        "faults/{name}",
        "presets/{name}",
        "instance",
        "metadata-options",
        "credentials/rotate",
        "tokens/revoke",
        "events",
        "clock",
        "requests",
        "requests/count",
        "requests/find",
        "requests/verify",
        "requests/stream",
        "packets",
        "scenarios/{name}/state",
        "reset",
        "health",
        "ready",
        "metrics",
        "openapi.json",
    ] {
        assert!(paths.contains_key(&format!("/__admin/{path}")), "{path}");
    }
    let without = bench.runtime.block_on(Emulator::builder().start()).unwrap();
    assert_eq!(without.admin_url(), None);
}
