//! The component.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_types::error::display::DisplayErrorContext;
use ec2_role_guest::Provider;
use http::Request;

use self::bindings::imds::credentials::ec2_role;
use self::bindings::wasi::clocks::wall_clock;
use self::bindings::wasi::http::outgoing_handler;
use self::bindings::wasi::http::types::{Fields, Method, OutgoingRequest, Scheme};

mod bindings {
    #![expect(unsafe_code, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package example:s3;
            world consumer {
                import wasi:clocks/wall-clock@0.2.12;
                import wasi:http/outgoing-handler@0.2.12;
                import imds:credentials/ec2-role@0.1.0;

                /// Requests an object of a bucket at `authority`, with credentials from IMDS at
                /// `endpoint`, and returns the status.
                export get-object: func(endpoint: string, authority: string) -> result<u16, string>;
            }
        ",
        additional_type_attributes: {
            // `Options::default()` is all options at their defaults.
            "imds:credentials/ec2-role@0.1.0/options": [#[derive(Default)]],
        },
        generate_all,
    });

    use super::Consumer;
    export!(Consumer);
}

struct Consumer;

impl bindings::Guest for Consumer {
    fn get_object(endpoint: String, authority: String) -> Result<u16, String> {
        ec2_role::configure(&options(endpoint)).map_err(|error| format!("{error:?}"))?;
        // As the AWS SDK for Rust requests them. The future is ready at once.
        let credentials = pollster::block_on(Provider::default().provide_credentials());
        let credentials = credentials.map_err(|error| DisplayErrorContext(&error).to_string())?;
        let request = signed(&authority, credentials).map_err(|error| error.to_string())?;
        send(&authority, &request)
    }
}

/// On EC2, there is nothing to configure, so `ec2-role` need not be imported.
fn options(endpoint: String) -> ec2_role::Options {
    ec2_role::Options {
        endpoint: Some(endpoint),
        ..ec2_role::Options::default()
    }
}

const PATH: &str = "/bucket/an-object";

fn signed(
    authority: &str,
    credentials: Credentials,
) -> Result<Request<()>, Box<dyn std::error::Error + Send + Sync>> {
    let mut request = Request::get(format!("http://{authority}{PATH}"))
        .header("host", authority)
        .body(())?;
    let now = wall_clock::now();
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name("s3")
        .time(SystemTime::UNIX_EPOCH + Duration::new(now.seconds, now.nanoseconds))
        .settings(settings())
        .build()?
        .into();
    let headers = [("host", authority)];
    let body = SignableBody::Bytes(&[]);
    let uri = request.uri().to_string();
    let signable = SignableRequest::new("GET", uri, headers.into_iter(), body)?;
    let (instructions, _) = sign(signable, &parameters)?.into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

/// As S3 requires: with the hash of the body in a header, and with an unmodified path.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

fn send(authority: &str, request: &Request<()>) -> Result<u16, String> {
    let headers: Vec<(String, Vec<u8>)> = request
        .headers()
        .iter()
        // The host sets this header from the authority, and rejects it here.
        .filter(|(name, _)| *name != "host")
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    let headers = Fields::from_list(&headers).map_err(|error| error.to_string())?;
    let outgoing = OutgoingRequest::new(headers);
    let set = outgoing
        .set_method(&Method::Get)
        .and_then(|()| outgoing.set_scheme(Some(&Scheme::Http)))
        .and_then(|()| outgoing.set_authority(Some(authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(PATH)));
    set.map_err(|()| "the host does not take the request".to_owned())?;
    let answer = outgoing_handler::handle(outgoing, None).map_err(|code| code.to_string())?;
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(response))) => Ok(response.status()),
        Some(Ok(Err(code))) => Err(code.to_string()),
        _ => Err("the host gave no response".into()),
    }
}
