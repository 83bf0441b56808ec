//! Faults in responses.

use imds_emulator::Dialect;
use imds_emulator::config::Span;
use imds_emulator::fault::kinds::{RandomDataThenClose, Redirect, Replace, Status, TruncateBody};
use imds_emulator::fault::{Fault, Malformed, Rule, StatusBody};
use serde_json::json;

use crate::bench::{Bench, OK, Response, request, send};

const ROLE: &str = "/latest/meta-data/iam/security-credentials/the-role";

/// The response to a request for the role's document, as text and in parts.
async fn under(fault: impl Into<Fault>) -> (String, Response) {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    let _guard = bench.imds.fault(Rule::new("fault", fault)).unwrap();
    let head = format!("GET {ROLE} HTTP/1.1\nX-aws-ec2-metadata-token: {token}");
    let text = send(bench.imds.address(), request(&head).as_bytes()).await;
    let response = bench.ask(&head).await;
    (text, response)
}

fn length(response: &Response) -> usize {
    response.header("content-length").unwrap().parse().unwrap()
}

#[tokio::test]
async fn status_with_each_body() {
    let (_, aws) = under(Status::new(503).retry_after(Span::seconds(7))).await;
    assert_eq!(aws.status, "HTTP/1.1 503 Service Unavailable");
    assert!(
        aws.body
            .contains("<title>503 - Service Unavailable</title>")
    );
    assert_eq!(aws.header("content-type"), Some("text/html"));
    assert_eq!(aws.header("retry-after"), Some("7"));
    assert_eq!(aws.header("server"), Some("EC2ws"));
    for (body, text) in [
        (StatusBody::Empty, ""),
        (
            StatusBody::Text {
                text: "out of order".into(),
            },
            "out of order",
        ),
    ] {
        let (_, response) = under(Status::new(500).body(body)).await;
        assert_eq!(response.status, "HTTP/1.1 500 Internal Server Error");
        assert_eq!(response.body, text);
        assert_eq!(length(&response), text.len());
    }
}

#[tokio::test]
async fn truncate_body_with_and_without_a_true_length() {
    let whole = Bench::new().await.read(ROLE).await.body.len();
    let (text, response) = under(TruncateBody::new().bytes(10)).await;
    assert!(text.ends_with("\r\n\r\n{\n  \"Code\""), "{text}");
    assert_eq!(length(&response), whole, "it says more than comes");
    let (_, response) = under(TruncateBody::new().fraction(0.5).fix_content_length()).await;
    assert_eq!(length(&response), whole / 2);
    assert_eq!(response.body.len(), whole / 2);
}

#[tokio::test]
async fn long_body_says_how_long_it_is() {
    let (_, response) = under(Fault::long_body(100_000)).await;
    let body = &response.body;
    assert!(body.len() > 100_000);
    assert!(body.ends_with(' '), "{}", body.len());
    assert_eq!(
        response.header("content-length"),
        Some(body.len().to_string().as_str())
    );
}

#[tokio::test]
async fn malformed_chunk_and_random_data() {
    let (text, response) = under(Fault::malformed_chunk()).await;
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert_eq!(response.header("content-length"), None);
    assert!(text.ends_with("\r\n\r\nthis is no length\r\n"), "{text}");

    let bench = Bench::new().await;
    let rule = Rule::new("random", RandomDataThenClose::new().bytes(100));
    let _guard = bench.imds.fault(rule).unwrap();
    let get = request("GET / HTTP/1.1");
    let random = crate::bench::send_bytes(bench.imds.address(), get.as_bytes()).await;
    assert_eq!(random.len(), 100);
    assert!(!random.starts_with(b"HTTP"));
    let again = crate::bench::send_bytes(bench.imds.address(), get.as_bytes()).await;
    assert_ne!(again, random);
}

#[tokio::test]
async fn malformed_json_in_each_way() {
    for (how, end) in [
        (Malformed::Cut, None),
        (Malformed::TrailingComma, Some("\",\n}")),
        (Malformed::Html, Some("</html>\n")),
        (Malformed::EmptyObject, Some("{}")),
    ] {
        let (_, response) = under(Fault::malformed_json(how)).await;
        assert_eq!(response.status, OK);
        assert_eq!(
            length(&response),
            response.body.len(),
            "as HTTP it is right"
        );
        let parsed = serde_json::from_str::<serde_json::Value>(&response.body);
        assert_eq!(parsed.is_ok(), how == Malformed::EmptyObject, "{how:?}");
        if let Some(end) = end {
            assert!(response.body.ends_with(end), "{how:?} {}", response.body);
        }
        if how == Malformed::Cut {
            let whole = Bench::new().await.read(ROLE).await.body.len();
            assert_eq!(response.body.len(), whole / 2);
        }
    }
}

#[tokio::test]
async fn what_is_wrong_looks_as_in_its_dialect() {
    for (dialect, version, page) in [(Dialect::Nitro, "1.1", false), (Dialect::Xen, "1.0", true)] {
        let bench = Bench::with(|config| config.server.dialect = dialect).await;
        let unauthorized = Fault::status(401);
        let guard = bench.imds.fault(Rule::new("401", unauthorized)).unwrap();
        let response = bench.ask("GET / HTTP/1.1").await;
        assert_eq!(response.body.contains("401 - Unauthorized"), page);
        assert_eq!(response.body.is_empty(), !page);
        guard.heal();
        let fault = Fault::drop_header("Date");
        let _guard = bench.imds.fault(Rule::new("no date", fault)).unwrap();
        let response = bench.ask("GET / HTTP/1.1").await;
        assert_eq!(response.status, format!("HTTP/{version} 401 Unauthorized"));
        assert_eq!(response.header("date"), None);
    }
}

#[tokio::test]
async fn replace_and_patch() {
    let (_, response) = under(
        Replace::new()
            .code(202)
            .header("x-mine", "yes")
            .body("other"),
    )
    .await;
    assert_eq!(response.status, "HTTP/1.1 202 Accepted");
    assert_eq!(response.header("x-mine"), Some("yes"));
    assert_eq!(response.body, "other");
    assert_eq!(length(&response), 5);

    let patch = json!({"Code": "Patched", "Token": null, "New": {"is": 1}});
    let (_, response) = under(Fault::patch(patch.as_object().unwrap().clone())).await;
    let document = response.json();
    assert_eq!(document["Code"], "Patched");
    assert_eq!(document.get("Token"), None);
    assert_eq!(document["New"]["is"], 1);
    assert_eq!(document["Type"], "AWS-HMAC", "the rest is as it was");
    let lines: Vec<&str> = response.body.lines().collect();
    assert_eq!(lines[..2], ["{", "  \"Code\" : \"Patched\","], "[I47]");
    assert!(lines[2].starts_with("  \"LastUpdated\" : "));
    assert_eq!(lines[lines.len() - 2..], ["  \"New\" : {\"is\":1}", "}"]);
}

#[tokio::test]
async fn headers_are_dropped_or_wrong() {
    let ttl = "x-aws-ec2-metadata-token-ttl-seconds";
    for name in [ttl, "Content-Length", "Server", "Date"] {
        let (_, response) = under(Fault::drop_header(name)).await;
        assert_eq!(response.header(name), None);
        assert!(response.body.ends_with('}'), "{name}");
        assert!(response.header("connection").is_some());
    }
    let whole = Bench::new().await.read(ROLE).await.body.len();
    for (delta, length_) in [(7, whole + 7), (-7, whole - 7)] {
        let (_, response) = under(Fault::wrong_content_length(delta)).await;
        assert_eq!(length(&response), length_);
        assert_eq!(response.body.len(), whole);
    }
    let (_, response) = under(Fault::wrong_content_type("application/json")).await;
    assert_eq!(response.header("content-type"), Some("application/json"));
    let (_, response) = under(Fault::wrong_server()).await;
    assert_eq!(response.header("server"), Some("nginx"));
}

#[tokio::test]
async fn redirect() {
    let (_, response) = under(Redirect::new("http://127.0.0.1:1/login").code(302)).await;
    assert_eq!(response.status, "HTTP/1.1 302 Found");
    assert_eq!(
        response.header("location"),
        Some("http://127.0.0.1:1/login")
    );
    assert_eq!(response.body, "");
}

#[tokio::test]
async fn the_response_to_a_head_has_no_body_whatever_goes_wrong() {
    let bench = Bench::new().await;
    let token = bench.token("60").await.body;
    let fault = Fault::drop_header("Server");
    let _guard = bench.imds.fault(Rule::new("drop", fault)).unwrap();
    let head = format!("HEAD {ROLE} HTTP/1.1\nX-aws-ec2-metadata-token: {token}");
    let response = bench.ask(&head).await;
    assert_eq!(response.status, OK);
    assert_eq!(response.header("server"), None);
    assert!(length(&response) > 500);
    assert_eq!(response.body, "");
}
