//! `run --report` and `run --verify`.

use std::process::Output;

use serde_json::Value;

use super::command;

/// Runs a script that asks for metadata, with a token and without one.
fn run(options: &[&str], script: &str) -> Output {
    command(&["--http-tokens", "optional", "run"])
        .args(options)
        .args(["--", "sh", "-c", script])
        .output()
        .unwrap()
}

const IMDSV1: &str =
    "curl -s -m 5 -A one/1 \"${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/meta-data/instance-id\"";
const IMDSV2: &str = "token=$(curl -s -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
    \"${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/api/token\"); \
    curl -s -m 5 -H \"X-aws-ec2-metadata-token: $token\" \
    \"${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/meta-data/instance-id\"";
const ID: &str = "i-0a1b2c3d4e5f67890";

#[test]
fn the_exit_status_says_whether_the_assertions_hold() {
    for (script, code, failure) in [
        (IMDSV2, 0, ""),
        (
            IMDSV1,
            1,
            "FAILS  every request has a token, or requests one",
        ),
        // The status of a command that fails is kept.
        (&*format!("{IMDSV1}; exit 3"), 3, "FAILS"),
    ] {
        let output = run(&["--verify", "no_imdsv1"], script);
        assert_eq!(output.status.code(), Some(code), "{script}: {output:?}");
        // The output of the command stays as it is.
        assert_eq!(String::from_utf8_lossy(&output.stdout), ID);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(failure), "{script}: {stderr}");
        assert_eq!(stderr.is_empty(), failure.is_empty(), "{script}: {stderr}");
    }
}

#[test]
fn a_report_tells_what_the_processes_did() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (json, html) = (file("report.json"), file("report.html"));
    let output = run(
        &[
            "--report",
            "text",
            "--report",
            &format!("json={json}"),
            "--report",
            &format!("html={html}"),
        ],
        &format!("{IMDSV1}; {IMDSV2}"),
    );
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("  token lifetime   1 min\n"), "{text}");
    assert!(
        text.contains("MetadataNoToken 1, MetadataNoTokenRejected 0"),
        "{text}"
    );
    let read = |path| std::fs::read_to_string(path).unwrap();
    assert!(read(&html).starts_with("<!DOCTYPE html>"));
    let report: Value = serde_json::from_str(&read(&json)).unwrap();
    assert_eq!(report["title"], "sh");
    let clients = report["usage"]["clients"].as_array().unwrap();
    assert_eq!(clients[0]["user-agents"][0], "one/1");
    assert_eq!(clients[0]["MetadataNoToken"], 1);
    if cfg!(target_os = "linux") {
        assert_eq!(clients.len(), 3, "{clients:?}");
        for client in clients {
            assert_eq!(client["process"]["name"], "curl");
            assert_eq!(client["connections"], 1);
        }
        assert!(text.contains("\ncurl["), "{text}");
    }
}

#[test]
fn a_report_that_cannot_be_written_or_understood_is_an_error() {
    for (option, value, message) in [
        (
            "--report",
            "yaml",
            "\"yaml\" is not a format; the formats are text, json and html",
        ),
        ("--report", "json=", "the file name after `=` is missing"),
        (
            "--report",
            "json=/no/such/folder/x",
            "cannot write /no/such/folder/x",
        ),
        ("--verify", "no_imds", "unknown variant `no_imds`"),
    ] {
        let output = run(&[option, value], "true");
        assert!(!output.status.success(), "{value}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(message), "{value}: {stderr}");
    }
}

/// Sends twenty requests to the address `$1`, port `$2`, and closes each connection at once.
#[cfg(target_os = "linux")]
const HASTY: &str = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    exec 3<>/dev/tcp/$1/$2 || exit 1
    printf 'GET /latest/meta-data/ HTTP/1.1\\r\\nHost: imds\\r\\n\\r\\n' >&3
    exec 3>&-
done";

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_closes_its_connection_at_once_is_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let json = format!("--report=json={}", file.display());
    let plain = format!(
        "address=${{AWS_EC2_METADATA_SERVICE_ENDPOINT#http://}}; address=${{address%/}}; \
         set ${{address%:*}} ${{address#*:}}; {HASTY}"
    );
    let isolated = format!("set 169.254.169.254 80; {HASTY}");
    let mut ways = vec![(&plain, None)];
    if super::can_isolate() {
        ways.push((&isolated, Some("--isolated")));
    }
    for (script, isolated) in ways {
        // Only a report needs to know the processes, and to look for them takes time.
        for report in [None, Some(&json)] {
            let output = command(&["--http-tokens", "optional", "run"])
                .args(isolated)
                .args(report)
                .args(["--verify", r#"{"requests":{"number":20}}"#])
                .args(["--", "bash", "-c", script])
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{isolated:?} {report:?}: {output:?}"
            );
        }
    }
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let clients = report["usage"]["clients"].as_array().unwrap();
    let requests = clients.iter().map(|client| &client["requests"]);
    assert_eq!(
        requests.filter_map(Value::as_u64).sum::<u64>(),
        20,
        "{clients:?}"
    );
}
