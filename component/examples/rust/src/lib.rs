//! Signs a request to S3 with credentials that the component imports.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;

wit_bindgen::generate!({ path: "../wit", world: "signer", generate_all });

struct Signer;

export!(Signer);

impl Guest for Signer {
    fn sign(bucket: String, region: String, time: u32) -> Result<Vec<Header>, String> {
        let host = format!("{bucket}.s3.{region}.amazonaws.com");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time.into());
        headers(&host, &region, time).map_err(|error| error.to_string())
    }
}

fn headers(
    host: &str,
    region: &str,
    time: SystemTime,
) -> Result<Vec<Header>, Box<dyn std::error::Error + Send + Sync>> {
    // Called for each request. The component has the credentials in its cache.
    let credentials = ec2_role_guest::credentials()?;
    // The feature `aws-sdk` makes them credentials of the AWS SDK.
    let identity = aws_credential_types::Credentials::from(credentials).into();
    // As S3 requires: with the hash of the body in a header, and with an unmodified path.
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(time)
        .settings(settings)
        .build()?;
    let request = SignableRequest::new(
        "GET",
        format!("https://{host}/"),
        [("host", host)].into_iter(),
        SignableBody::Bytes(&[]),
    )?;
    let (instructions, _) = sign(request, &parameters.into())?.into_parts();
    let signed = instructions.headers();
    let signed = signed.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok([("host".to_owned(), host.to_owned())]
        .into_iter()
        .chain(signed)
        .collect())
}
