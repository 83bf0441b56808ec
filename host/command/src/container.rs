//! What `doctor` says of a container credentials endpoint in the environment, such as that of `serve`:
//! which clients cannot use it, and what they would use first.

use std::net::IpAddr;

use ec2_role_host::Endpoint;

use crate::precedence::{FILES, KEYS, PROFILES};

const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const RELATIVE_URI: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// Notes about the endpoint in this environment. Empty without one.
pub(crate) fn notes() -> Vec<String> {
    let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut notes = Vec::new();
    let uri = match (get(FULL_URI), get(RELATIVE_URI)) {
        (Some(uri), relative) => {
            notes.push(format!(
                "{FULL_URI} is {}: AWS SDKs use it in place of IMDS",
                shown(&uri)
            ));
            if relative.is_some() {
                notes.push(format!(
                    "{RELATIVE_URI} is set, too, and most SDKs use it first: unset one of them"
                ));
            }
            uri
        }
        (None, Some(_)) => {
            notes.push(format!(
                "{RELATIVE_URI} is set: AWS SDKs use http://169.254.170.2 in place of IMDS"
            ));
            return with_precedence(notes);
        }
        (None, None) => return notes,
    };
    notes.push(format!(
        "s3fs cannot use it, nor can the SDK for Ruby before aws-sdk-core 3.171: they read \
         {RELATIVE_URI} only"
    ));
    notes.extend(address_notes(&uri));
    match get(TOKEN_FILE) {
        None => notes.push(format!(
            "polars, deltalake and obstore ignore it: they need the token in a file, named by {TOKEN_FILE}"
        )),
        Some(file) => notes.extend(file_note(&file)),
    }
    with_precedence(notes)
}

fn address_notes(uri: &str) -> Option<String> {
    let address = uri.strip_prefix("http://")?;
    let address = address.split('/').next()?;
    let host = match address.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => address.split(':').next()?,
    };
    let clients = match host.parse::<IpAddr>().ok()?.to_string().as_str() {
        "127.0.0.1" | "169.254.170.23" => return None,
        "169.254.170.2" => "version 2 of the AWS SDK for JavaScript, minio-py, minio-go and restic",
        "fd00:ec2::23" => "version 2 of the AWS SDK for JavaScript and aws-credentials-http",
        "::1" => "version 2 of the AWS SDK for JavaScript, minio-py and aws-credentials-http",
        loopback if loopback.starts_with("127.") => "version 2 of the AWS SDK for JavaScript",
        _ => "AWS SDKs",
    };
    Some(format!("{clients} cannot use the address {host}"))
}

fn file_note(file: &str) -> Option<String> {
    let fault = match std::fs::read_to_string(file) {
        Err(error) => format!("cannot be read: {error}"),
        Ok(token) if token.is_empty() => "is empty".to_owned(),
        Ok(token) if token.ends_with('\n') => "ends with a newline".to_owned(),
        Ok(_) => return None,
    };
    Some(format!(
        "the file {file:?}, which {TOKEN_FILE} names, {fault}: most SDKs fail"
    ))
}

/// Adds what SDKs use before an endpoint.
fn with_precedence(mut notes: Vec<String>) -> Vec<String> {
    let is_set = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let set: Vec<&str> = KEYS
        .iter()
        .chain(&PROFILES)
        .filter(is_set)
        .copied()
        .collect();
    if !set.is_empty() {
        notes.push(format!("SDKs use {} first: unset it", set.join(", ")));
    }
    for file in FILES.iter().filter(|file| file.has_default()) {
        let path = file.path().unwrap_or_default();
        notes.push(format!(
            "most SDKs use the credentials of the profile default in {} first",
            path.display()
        ));
    }
    notes
}

/// The URI without user information.
fn shown(uri: &str) -> String {
    match uri.parse::<Endpoint>() {
        Err(invalid) => invalid.url().to_owned(),
        Ok(_) => uri.to_owned(),
    }
}
