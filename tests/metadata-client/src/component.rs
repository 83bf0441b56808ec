//! The component.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta};

use self::bindings::exports::imds::credentials::metadata_client::{ClientError, Guest};
use self::bindings::wasi::clocks::wall_clock;

mod bindings {
    #![expect(unsafe_code, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package example:metadata-client;
            world client {
                import wasi:clocks/wall-clock@0.2.12;
                export imds:credentials/metadata-client@0.1.0;
            }
        ",
        generate_all,
    });

    use super::Client;
    export!(Client);
}

struct Client;

static ASKED: AtomicU32 = AtomicU32::new(0);

impl Guest for Client {
    fn get_metadata(path: String) -> Result<Vec<u8>, ClientError> {
        let words = "as it was told to\nby its role".to_owned();
        match path.as_str() {
            "iam/security-credentials/" => Ok(b"a-role\n".to_vec()),
            "iam/security-credentials/a-role" => Ok(document()?.into_bytes()),
            "iam/security-credentials/says-disabled" => Err(ClientError::Disabled),
            "iam/security-credentials/says-denied" => Err(ClientError::Denied(words)),
            "iam/security-credentials/says-unavailable" => Err(ClientError::Unavailable(words)),
            "iam/security-credentials/says-timeout" => Err(ClientError::Timeout(words)),
            "iam/security-credentials/says-404" => Err(ClientError::Status(404)),
            "iam/security-credentials/says-503" => Err(ClientError::Status(503)),
            "iam/security-credentials/says-nonsense" => Err(ClientError::InvalidResponse(words)),
            "iam/security-credentials/says-much" => Ok(vec![b' '; 64 * 1024 + 1]),
            _ => Err(ClientError::Other(format!("no such path: {path}"))),
        }
    }
}

fn document() -> Result<String, ClientError> {
    let asked = ASKED.fetch_add(1, Ordering::Relaxed);
    let now = i64::try_from(wall_clock::now().seconds).ok();
    let ends = now
        .and_then(|now| DateTime::from_timestamp(now, 0))
        .and_then(|now| now.checked_add_signed(TimeDelta::hours(1)))
        .ok_or_else(|| ClientError::Other("what a clock is that".into()))?;
    let ends = ends.format("%Y-%m-%dT%H:%M:%SZ");
    Ok(format!(
        r#"{{"Code":"Success","AccessKeyId":"ASIACLIENT{asked}","SecretAccessKey":"s","Token":"t","Expiration":"{ends}"}}"#
    ))
}
