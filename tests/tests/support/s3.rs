//! Plays S3: it accepts what is signed with the credentials that IMDS has.

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::NaiveDateTime;
use imds_emulator::Emulator;

/// Gives its host and port.
pub(crate) async fn serve(imds: Arc<Emulator>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let router = Router::new().fallback(answer).with_state(imds);
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    authority
}

async fn answer(State(imds): State<Arc<Emulator>>, request: Request) -> StatusCode {
    let expected = authorization(&imds, request.uri().path(), request.headers());
    let given = request.headers().get("authorization");
    let given = given.and_then(|value| value.to_str().ok());
    match given.is_some() && given == expected.as_deref() {
        true => StatusCode::OK,
        false => StatusCode::FORBIDDEN,
    }
}

/// What S3 has otherwise than other services.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

/// What the request must have, signed anew at the time that it names.
fn authorization(imds: &Emulator, path: &str, headers: &HeaderMap) -> Option<String> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let keys = imds.role_keys()?;
    if header("x-amz-security-token")? != keys.session_token {
        return None;
    }
    let time = NaiveDateTime::parse_from_str(header("x-amz-date")?, "%Y%m%dT%H%M%SZ").ok()?;
    let identity = Credentials::new(
        keys.access_key_id,
        keys.secret_access_key,
        Some(keys.session_token),
        None,
        "imds",
    )
    .into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name("s3")
        .time(SystemTime::from(time.and_utc()))
        .settings(settings())
        .build()
        .ok()?
        .into();
    let host = header("host")?;
    let uri = format!("http://{host}{path}");
    let headers = [("host", host)];
    let body = SignableBody::Bytes(&[]);
    let signable = SignableRequest::new("GET", uri, headers.into_iter(), body).ok()?;
    let (instructions, _) = sign(signable, &parameters).ok()?.into_parts();
    let (headers, _) = instructions.into_parts();
    let signed = headers
        .iter()
        .find(|header| header.name() == "authorization")?;
    Some(signed.value().to_owned())
}
