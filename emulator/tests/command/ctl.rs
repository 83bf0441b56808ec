//! `imds-emulator ctl` against a running emulator.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use crate::{Running, command};

/// `ctl` against a running emulator: what it prints, and its exit status.
fn ctl(admin: &str, arguments: &[&str]) -> (String, Option<i32>) {
    let arguments = [&["ctl", "--admin", admin], arguments].concat();
    let output = command(&arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code())
}

#[test]
fn ctl_is_the_admin_api_from_a_shell() {
    let socket = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("ctl.sock");
    let socket = socket.to_str().unwrap();
    let running = Running::start(&["--port", "0", "--admin-socket", socket]);
    let admin = running.ready["admin"].as_str().unwrap().to_owned();
    let ok = |arguments: &[&str]| {
        let (text, code) = ctl(&admin, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        text
    };
    ok(&[
        "fault",
        "add",
        "outage",
        "status",
        "code=503",
        "--path",
        "/latest/api/token",
        "--count",
        "1",
    ]);
    assert!(ok(&["fault", "list"]).starts_with("outage: {"));
    let shown: serde_json::Value = serde_json::from_str(&ok(&["fault", "show", "outage"])).unwrap();
    assert_eq!(shown["rule"]["when"]["count"], 1);
    assert_eq!(running.role(), "", "there was no token");
    assert_eq!(running.role(), "emulated-role");
    assert_eq!(ok(&["requests", "count", "status=503"]), "1\n");
    let listed = ok(&["requests", "list", "--limit", "2"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(
        listed.contains(" PUT /latest/api/token 200 v2 token:none\n"),
        "{listed}"
    );
    assert!(ok(&["requests", "find", "rule=outage"]).ends_with(" [outage]\n"));
    ok(&["verify", "no_imdsv1", r#"{"min_requests": {"min": 3}}"#]);
    let (report, code) = ctl(&admin, &["verify", "max_token_puts=1"]);
    assert_eq!(code, Some(1));
    assert!(
        report.starts_with("FAILS  at most 1 request for a token: 2 requests"),
        "{report}"
    );

    ok(&["clock", "freeze"]);
    ok(&["clock", "set", "2026-01-02T03:04:05Z"]);
    assert_eq!(
        ok(&["clock", "advance", "6h"]),
        "2026-01-02T09:04:05Z frozen\n"
    );
    assert_eq!(
        ok(&["clock", "advance", "-1h"]),
        "2026-01-02T08:04:05Z frozen\n"
    );
    assert!(ok(&["clock", "run"]).ends_with(" running\n"));
    assert!(ok(&["options", "HttpTokens=optional"]).contains("\"HttpTokens\": \"optional\""));
    assert!(
        ok(&["instance", "placement.availability-zone=eu-central-1b"]).contains("eu-central-1b")
    );
    assert!(ok(&["events", r#"{"rebalance-recommendation": {}}"#]).contains("announced"));
    ok(&["events", "--clear"]);
    ok(&["preset", "apply", "imdsv2-only"]);
    ok(&["preset", "remove", "imdsv2-only"]);
    assert_eq!(ok(&["preset", "list"]).lines().count(), 11);
    assert_eq!(ok(&["scenario", "mine", "over"]), "over\n");
    for order in ["rotate", "revoke", "reset"] {
        assert_eq!(ok(&[order]), "");
    }
    assert!(ok(&["metrics"]).contains("# TYPE imds_requests_total counter"));
    assert_eq!(ctl(socket, &["health"]), ("ok\n".into(), Some(0)));

    let steps = r#"[{"name": "x", "do": [{"heal": "y"}]}]"#;
    assert_eq!(ok(&["timeline", "set", steps]), "x: pending\n");
    ok(&["clock", "freeze"]);
    ok(&["clock", "set", "2026-01-02T03:04:05Z"]);
    assert_eq!(ok(&["timeline", "take", "x"]), "");
    assert_eq!(
        ok(&["timeline", "show"]),
        "x: done at 2026-01-02T03:04:05Z\n"
    );
    assert_eq!(ok(&["timeline", "clear"]), "");

    for (arguments, error, code) in [
        (
            &["fault", "add", "x", "statu"][..],
            "error: the fault is invalid: type: unknown variant `statu`; did you mean `status`?\n",
            1,
        ),
        (
            &["fault", "add", "x", "zzz"],
            "unknown variant `zzz`; the documentation lists the ",
            1,
        ),
        (
            &["fault", "add", "x", "status", "code=abc"],
            "error: the fault is invalid: code: \"abc\" is not accepted; accepted: a status from 200 to 999\n",
            1,
        ),
        (
            &["fault", "add", "x", "latency", "latency=5"],
            "error: the fault is invalid: latency: invalid type: integer `5`, expected a length of time, like 5s or 6h 20m\n",
            1,
        ),
        (
            &["verify", "max_token_puts=x"],
            "max_token_puts: invalid type: string \"x\", expected a whole number, 0 or more\n",
            1,
        ),
        (
            &["fault", "add", "x", "redirect", "to=/", "code=x"],
            "error: the fault is invalid: code: \"x\" is not accepted; accepted: a status from 300 to 399\n",
            1,
        ),
        (
            &["fault", "add", "x", "replace", "code=70000"],
            "error: the fault is invalid: code: 70000 is not accepted; accepted: a status from 200 to 999\n",
            1,
        ),
        (
            &[
                "timeline",
                "set",
                r#"[{"name": "x", "do": [{"fault": {"name": "y", "fault": {"type": "stall", "after": "z"}}}]}]"#,
            ],
            "error: [0].do[0].fault.fault.after: invalid type: string \"z\", expected a whole number, 0 or more\n",
            1,
        ),
        (&["fault", "add", "{\"name\""], "is not valid JSON", 1),
        (
            &["fault", "add", "x", "reset_peer", "after=later"],
            "error: the fault is invalid: after: \"later\" is not accepted; accepted: `accept`, `request` or `{ bytes = NUM }`\n",
            1,
        ),
        (
            &["fault", "add", "x", "status", "code=503", "body=page"],
            "error: the fault is invalid: body: \"page\" is not accepted; accepted: `aws`, `empty` or `{ text = ",
            1,
        ),
        (
            &["fault", "add", "x", "throttle", "effect=quiet"],
            "error: the fault is invalid: effect: \"quiet\" is not accepted; accepted: `no-response`, `reset` or a status code, 200 to 999\n",
            1,
        ),
        (
            &["fault", "add", r#"{"name": "x", "when": {"cuont": 1}}"#],
            "error: when.cuont: ",
            1,
        ),
        (&["fault", "add", "x", "down", "--ttl", "soon"], "6h 20m", 2),
        (&["requests", "find", "colour=red"], "`colour`", 1),
        (
            &["requests", "find", "red"],
            "invalid argument \"red\"; accepted: KEY=VALUE",
            1,
        ),
        (&["verify", "nonsense"], "`nonsense`", 1),
        (&["preset", "apply", "imds-outrage"], "imds-outage", 2),
        (
            &["timeline", "take", "none"],
            "the timeline has no step \"none\" (404 Not Found)",
            1,
        ),
    ] {
        let (text, status) = ctl(&admin, arguments);
        assert_eq!(status, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(error), "{error} in {text}");
    }
    let (error, code) = ctl(&admin, &["fault", "add", "x", "status", "code=9"]);
    assert_eq!(code, Some(1));
    assert!(error.starts_with("error: fault.code: "), "{error}");
    let (error, code) = ctl("http://127.0.0.1:1", &["health"]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("cannot reach the admin API at http://127.0.0.1:1: "),
        "{error}"
    );
    let (error, _) = ctl("http://user:hunter2@127.0.0.1:1", &["health"]);
    assert!(
        error.contains("the admin API at http://..@127.0.0.1:1: ") && !error.contains("hunter2"),
        "{error}"
    );
    assert_eq!(ctl(&admin, &["nonsense"]).1, Some(2));
    running.stop("-TERM");
    assert!(
        !std::path::Path::new(socket).exists(),
        "it leaves no socket behind"
    );
}

#[test]
fn ctl_follows_requests_whose_characters_come_in_two_frames() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let admin = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let event = "data: {\"number\":7,\"at\":\"2026-01-02T03:04:05Z\",\"uptime-ms\":0,\
            \"client\":\"127.0.0.1\",\"method\":\"GET\",\"path\":\"/\",\"imds\":\"v1\",\
            \"token\":\"none\",\"user-agent\":\"\u{e4}/1\",\"forwarded\":false,\"rules\":[],\
            \"outcome\":\"answered\",\"status\":401,\"bytes\":0,\"duration-ms\":1.5}\n\n";
        let within = event.find('\u{e4}').unwrap() + 1;
        for part in [
            &event.as_bytes()[..within],
            &event.as_bytes()[within..],
            b"",
        ] {
            write!(stream, "{:x}\r\n", part.len()).unwrap();
            stream.write_all(part).unwrap();
            stream.write_all(b"\r\n").unwrap();
            stream.flush().unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(
        ctl(&admin, &["requests", "follow"]),
        (
            "#7 2026-01-02T03:04:05.000Z 127.0.0.1 GET / 401 v1 token:none \"\u{e4}/1\"\n".into(),
            Some(0)
        )
    );
    server.join().unwrap();
}
