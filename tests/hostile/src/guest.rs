//! The attempts.

use std::cell::RefCell;

use self::bindings::exports::imds::credentials::{ec2_role, metadata, provider};
use self::bindings::wasi::clocks::monotonic_clock;
use self::bindings::wasi::http::outgoing_handler;
use self::bindings::wasi::http::types::{Fields, Method, OutgoingRequest, RequestOptions, Scheme};
use self::bindings::wasi::random::random;

mod bindings {
    #![expect(unsafe_code, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        world: "imds:credentials/ec2-role-credentials",
        generate_all,
    });

    use super::Hostile;
    export!(Hostile with_types_in self);
}

struct Hostile;

thread_local!(static ATTEMPT: RefCell<String> = RefCell::default());

impl provider::Guest for Hostile {
    fn get_credentials() -> Result<provider::Credentials, provider::Error> {
        let attempt = ATTEMPT.with_borrow(Clone::clone);
        let words: Vec<&str> = attempt.split(' ').collect();
        let outcome = match *words {
            ["loop"] => endless_loop(),
            ["sleep"] => sleep(),
            ["poll"] => poll_without_a_pause(),
            ["memory"] => all_memory(),
            ["handles"] => all_handles(),
            ["headers"] => all_headers(),
            ["random"] => random::get_random_bytes(1 << 30).len().to_string(),
            ["answer"] => "x".repeat(700 * 1024).repeat(4),
            ["recursion"] => recursion(0).to_string(),
            ["body"] => endless_body(),
            ["request", method, scheme, authority, path] => {
                request(method, scheme, authority, path)
            }
            ["credentials"] => return Ok(credentials()),
            ["credentials-once"] => {
                ATTEMPT.set("loop".into());
                return Ok(credentials());
            }
            _ => format!("no such attempt: {attempt}"),
        };
        Err(provider::Error::Other(outcome))
    }

    fn invalidate() {}

    fn reject(_: String) {}
}

fn credentials() -> provider::Credentials {
    let now = bindings::wasi::clocks::wall_clock::now().seconds;
    provider::Credentials {
        access_key_id: "ASIAHOSTILE".into(),
        secret_access_key: "secret".into(),
        session_token: None,
        account_id: None,
        source: "hostile".into(),
        expires: Some(now + 3600),
        refresh_after: now,
    }
}

fn endless_loop() -> String {
    let mut number = 0_u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

fn sleep() -> String {
    monotonic_clock::subscribe_duration(u64::MAX).block();
    "awake".into()
}

fn poll_without_a_pause() -> String {
    loop {
        monotonic_clock::subscribe_duration(0).block();
    }
}

fn all_memory() -> String {
    let mut held = Vec::new();
    loop {
        held.push(std::hint::black_box(vec![1_u8; 64 * 1024]));
    }
}

fn all_handles() -> String {
    let mut held = Vec::new();
    loop {
        held.push(monotonic_clock::subscribe_duration(u64::MAX));
    }
}

fn all_headers() -> String {
    let fields = Fields::new();
    for number in 0_u64.. {
        let name = format!("x-{number}");
        if let Err(error) = fields.append(&name, &[b'x'; 1024]) {
            return format!("{error:?} at {number}");
        }
    }
    unreachable!()
}

fn recursion(depth: u64) -> u64 {
    match std::hint::black_box(depth) {
        u64::MAX => 0,
        depth => std::hint::black_box(recursion(depth + 1)) + 1,
    }
}

/// A request to the endpoint with a body that never ends.
fn endless_body() -> String {
    let request = OutgoingRequest::new(Fields::new());
    let endpoint = ENDPOINT.with_borrow(Clone::clone);
    let _ = request.set_method(&Method::Put);
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(endpoint.strip_prefix("http://"));
    let _ = request.set_path_with_query(Some("/latest/api/token"));
    let Ok(body) = request.body() else {
        return "no body".into();
    };
    let Ok(stream) = body.write() else {
        return "no stream".into();
    };
    let response = match outgoing_handler::handle(request, None) {
        Ok(response) => response,
        Err(error) => return format!("{error:?}"),
    };
    while stream.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {}
    drop(stream);
    drop(body);
    response.subscribe().block();
    match response.get() {
        Some(Ok(Err(error))) => format!("{error:?}"),
        _ => "a response".into(),
    }
}

fn request(method: &str, scheme: &str, authority: &str, path: &str) -> String {
    let headers = Fields::new();
    let _ = headers.append("x-aws-ec2-metadata-token", b"a token");
    let request = OutgoingRequest::new(headers);
    let method = match method {
        "GET" => Method::Get,
        "PUT" => Method::Put,
        "POST" => Method::Post,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.into()),
    };
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.into()),
    };
    if request.set_method(&method).is_err() {
        return "not a method".into();
    }
    if request.set_scheme(Some(&scheme)).is_err() {
        return "not a scheme".into();
    }
    if request.set_authority(Some(authority)).is_err() {
        return "not an authority".into();
    }
    if request.set_path_with_query(Some(path)).is_err() {
        return "not a path".into();
    }
    let options = RequestOptions::new();
    let response = match outgoing_handler::handle(request, Some(options)) {
        Ok(response) => response,
        Err(error) => return format!("{error:?}"),
    };
    response.subscribe().block();
    match response.get() {
        Some(Ok(Ok(response))) => format!("status {}", response.status()),
        Some(Ok(Err(error))) => format!("{error:?}"),
        _ => "no response".into(),
    }
}

thread_local!(static ENDPOINT: RefCell<String> = RefCell::default());

fn nothing<T>() -> Result<T, provider::Error> {
    Err(provider::Error::Unsupported(
        "this component is hostile".into(),
    ))
}

impl ec2_role::Guest for Hostile {
    fn configure(options: ec2_role::Options) -> Result<(), provider::Error> {
        ENDPOINT.set(options.endpoint.unwrap_or_default());
        ATTEMPT.set(options.role_name.unwrap_or_default());
        if ATTEMPT.with_borrow(|attempt| attempt == "configure") {
            endless_loop();
        }
        Ok(())
    }

    fn retrieve() -> Result<provider::Credentials, provider::Error> {
        nothing()
    }

    fn adjust_expires_by(
        _: provider::Credentials,
        _: i64,
    ) -> Result<provider::Credentials, provider::Error> {
        nothing()
    }

    fn handle_fail_to_refresh(
        _: Option<provider::Credentials>,
        cause: provider::Error,
    ) -> Result<provider::Credentials, provider::Error> {
        Err(cause)
    }

    fn status() -> ec2_role::ProviderStatus {
        ec2_role::ProviderStatus {
            imds_version: None,
            fallback: None,
            role_name: None,
            token_received: None,
            token_expires: None,
            credentials_received: None,
            document_expires: None,
            expires: None,
            next_refresh: None,
            last_success: None,
            last_failure: None,
            failing_since: None,
            extensions: 0,
            refreshes: 0,
            requests: ec2_role::RequestCounts {
                token: 0,
                role_list: 0,
                role_credentials: 0,
                metadata: 0,
            },
        }
    }
}

impl metadata::Guest for Hostile {
    fn get_metadata(_: String) -> Result<String, provider::Error> {
        Ok("still here".into())
    }

    fn get_dynamic_data(_: String) -> Result<String, provider::Error> {
        nothing()
    }

    fn get_user_data() -> Result<Vec<u8>, provider::Error> {
        nothing()
    }

    fn get_region() -> Result<String, provider::Error> {
        nothing()
    }

    fn get_instance_identity_document()
    -> Result<metadata::InstanceIdentityDocument, provider::Error> {
        nothing()
    }

    fn get_iam_info() -> Result<metadata::IamInfo, provider::Error> {
        nothing()
    }
}
