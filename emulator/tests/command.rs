//! The command `imds-emulator`, as a user runs it.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imds-emulator"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running emulator, and its ready line.
struct Running {
    child: Child,
    ready: serde_json::Value,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            child,
            ready: serde_json::from_str(&line).unwrap(),
        }
    }

    fn address(&self) -> &str {
        self.ready["metadata"]
            .as_str()
            .unwrap()
            .strip_prefix("http://")
            .unwrap()
    }

    /// The body of the answer to a request for the role list.
    fn role(&self) -> String {
        let ask = |head: &str| {
            let mut stream = TcpStream::connect(self.address()).unwrap();
            write!(stream, "{head}\r\nHost: imds\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer.split_once("\r\n\r\n").unwrap().1.to_owned()
        };
        let token =
            ask("PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60");
        ask(&format!(
            "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\nX-aws-ec2-metadata-token: {token}"
        ))
    }

    /// Sends a signal, and waits for the end.
    fn stop(mut self, signal: &str) -> (Output, Duration) {
        let began = Instant::now();
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let status = self.child.wait().unwrap();
        let took = began.elapsed();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let child = &mut self.child;
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_to_end(&mut stdout)
            .unwrap();
        child
            .stderr
            .as_mut()
            .unwrap()
            .read_to_end(&mut stderr)
            .unwrap();
        let output = Output {
            status,
            stdout,
            stderr,
        };
        (output, took)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that fails leaves nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_says_when_it_is_ready_and_stops_cleanly_on_signals() {
    for signal in ["-INT", "-TERM"] {
        let running = Running::start(&["--port", "0"]);
        assert_eq!(running.ready["ready"], true);
        assert_eq!(running.ready.as_object().unwrap().len(), 4);
        assert_eq!(
            running.ready["listening"],
            serde_json::json!([running.ready["metadata"]])
        );
        assert!(
            running.address().starts_with("127.0.0.1:"),
            "{}",
            running.ready
        );
        assert_eq!(running.role(), "emulated-role");
        let (output, _) = running.stop(signal);
        assert_eq!(output.status.code(), Some(0), "{signal}");
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "",
            "nothing after the ready line"
        );
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
}

#[test]
fn a_connection_that_nobody_uses_does_not_keep_it_from_stopping() {
    let running = Running::start(&["--port", "0"]);
    let mut idle = TcpStream::connect(running.address()).unwrap();
    idle.write_all(b"GET /latest/").unwrap();
    let (output, took) = running.stop("-TERM");
    assert_eq!(output.status.code(), Some(0));
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn the_role_can_be_chosen() {
    let running = Running::start(&["--port", "0", "--role", "mine"]);
    assert_eq!(running.role(), "mine");
    running.stop("-TERM");
    let running = Running::start(&["--port", "0", "--no-role"]);
    assert!(running.role().contains("404 - Not Found"));
    running.stop("-TERM");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = command(&["--port", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{error}"
    );
    assert!(error.contains("--port 0"), "{error}");
}

/// What a command prints when all is well.
fn output(arguments: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    assert_eq!(error, "");
    String::from_utf8(output.stdout).unwrap()
}

/// What it prints when it is not: one line that begins with `error: `.
fn failure(arguments: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: "), "{error}");
    error
}

/// A file that is there for one test.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, content: &str) -> Self {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

#[test]
fn the_effective_configuration_can_be_read_back() {
    let printed = output(&["config", "--role", "mine", "--set", "instance.tags.Team=us"]);
    for line in [
        "port = 1338",
        "role = \"mine\"",
        "Team = \"us\"",
        "HttpTokens = \"required\"",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line} in {printed}"
        );
    }
    let file = File::new("read-back.toml", &printed);
    assert_eq!(output(&["config", "--config", file.path()]), printed);
}

#[test]
fn files_are_toml_or_json_and_name_others_beside_them() {
    let _data = File::new("user-data.bin", "beside");
    let toml = File::new(
        "file.toml",
        "[instance]\ninstance-type = 'm7g.large'\nuser-data = { file = 'user-data.bin' }\n",
    );
    let json = File::new(
        "file.json",
        r#"{"instance": {"instance-type": "m7g.large", "user-data": {"file": "user-data.bin"}}}"#,
    );
    let printed = output(&["config", "--config", toml.path()]);
    assert!(
        printed.contains("instance-type = \"m7g.large\""),
        "{printed}"
    );
    assert!(
        printed.contains("YmVzaWRl") || printed.contains("beside"),
        "{printed}"
    );
    assert_eq!(output(&["config", "--config", json.path()]), printed);
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let file = File::new(
        "order.toml",
        "[server]\nport = 1\n[instance]\naccount-id = '111111111111'\nami-launch-index = 1\n",
    );
    let printed = command(&["config", "--config", file.path(), "--port", "3"])
        .env("IMDS_EMULATOR_SERVER__PORT", "2")
        .env("IMDS_EMULATOR_INSTANCE__ACCOUNT_ID", "222222222222")
        .env("IMDS_EMULATOR_METADATA_OPTIONS__HTTPTOKENS", "optional")
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    for line in [
        "port = 3",
        "account-id = \"222222222222\"",
        "ami-launch-index = 1",
        "HttpTokens = \"optional\"",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line} in {printed}"
        );
    }
}

#[test]
fn what_is_not_accepted_is_named_with_its_place_and_what_is() {
    let file = File::new("wrong.toml", "[instance]\ninstance-typ = 't3.micro'\n");
    for (arguments, parts) in [
        (
            &["--config", file.path()][..],
            &[
                "wrong.toml",
                "instance-typ",
                "did you mean `instance-type`?",
            ][..],
        ),
        (
            &["--set", "instance.account-id=12"],
            &["--set", "instance.account-id", "\"12\"", "12 digits"],
        ),
        (
            &["--set", "server.prot=1"],
            &["--set", "prot", "did you mean `port`?"],
        ),
        (&["--set", "server.port=x"], &["--set", "server.port", "x"]),
        (&["--set", "nothing"], &["--set", "nothing"]),
        (
            &["--dialect", "french"],
            &["--dialect", "french", "nitro", "xen"],
        ),
        (
            &["--http-tokens", "maybe"],
            &["--http-tokens", "maybe", "required", "optional"],
        ),
        (
            &["--config", "/there/is/none.toml"],
            &["/there/is/none.toml", "No such file"],
        ),
        (
            &["--set", "instance.iam.rotation=soon"],
            &["--set", "instance.iam.rotation", "soon", "6h 20m"],
        ),
    ] {
        let error = failure(arguments);
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

#[test]
fn what_belongs_together_can_be_set_in_any_order() {
    let action = "events.spot-interruption.action=terminate";
    let spot = "instance.life-cycle=spot";
    for settings in [[action, spot], [spot, action]] {
        let printed = output(&["config", "--set", settings[0], "--set", settings[1]]);
        assert!(printed.contains("[events.spot-interruption]\naction = \"terminate\""));
    }
    let printed = command(&["config", "--set", r#"instance.tags."a=b"=c"#])
        .env("IMDS_EMULATOR_EVENTS__SPOT_INTERRUPTION__ACTION", "terminate")
        .env("IMDS_EMULATOR_INSTANCE__LIFE_CYCLE", "spot")
        .env("IMDS_EMULATOR_EVENTS__REBALANCE_RECOMMENDATION__ANNOUNCED", "+5m")
        .env("IMDS_EMULATOR_INSTANCE__VPC__IPV4_CIDR_BLOCKS", "[\"10.0.0.0/16\"]")
        .env(
            "IMDS_EMULATOR_INSTANCE__NETWORK_INTERFACES",
            r#"[{ mac = "0a:00:00:00:00:01", interface-id = "eni-00000001", private-ipv4s = ["10.0.0.5"] }]"#,
        )
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(printed.stderr).unwrap(), "");
    let printed = String::from_utf8(printed.stdout).unwrap();
    for part in ["announced = \"+5m\"", "10.0.0.0/16", "\"a=b\" = \"c\""] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let file = File::new(
        "all-wrong.toml",
        "[instance]\naccount-id = '12'\ntagz = {}\n",
    );
    let error = failure(&[
        "--config",
        file.path(),
        "--set",
        "server.port=x",
        "--role",
        "a/b",
    ]);
    assert!(
        error.starts_with("error: 4 errors in the configuration:\n"),
        "{error}"
    );
    for part in [
        "all-wrong.toml: instance.account-id: \"12\"",
        "did you mean `tags`?",
        "\n  --set: server.port: ",
        "\n  --role: instance.iam.role: \"a/b\"",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn a_configuration_file_of_aemm_is_understood() {
    let file = File::new(
        "aemm.json",
        r#"{"imdsv2": true, "mock-ip-count": 2, "metadata": {"values": {"instance-type": "m4.xlarge"}}}"#,
    );
    let printed = command(&[
        "config",
        "--aemm-config",
        file.path(),
        "--set",
        "server.port=7",
    ])
    .output()
    .unwrap();
    let warnings = String::from_utf8(printed.stderr).unwrap();
    assert!(warnings.starts_with("warning: "), "{warnings}");
    assert!(
        warnings.contains("aemm.json: mock-ip-count: "),
        "{warnings}"
    );
    let printed = String::from_utf8(printed.stdout).unwrap();
    for line in [
        "port = 7",
        "HttpTokens = \"required\"",
        "instance-type = \"m4.xlarge\"",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line} in {printed}"
        );
    }
    let error = failure(&["--aemm-config", "/there/is/none.json"]);
    assert!(
        error.contains("/there/is/none.json: cannot read the configuration: No such file"),
        "{error}"
    );
}

#[test]
fn the_schema_is_json_and_knows_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&output(&["config", "--schema"])).unwrap();
    let text = schema.to_string();
    for key in [
        "metadata-options",
        "HttpPutResponseHopLimit",
        "network-interfaces",
    ] {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn env_prints_what_points_an_sdk_at_it() {
    assert_eq!(
        output(&["env", "--port", "4321"]),
        "export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:4321\n\
         export AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv4\n\
         export AWS_EC2_METADATA_DISABLED=false\n"
    );
    assert!(output(&["env", "--host", "::1"]).contains("='http://[::1]:1338'\n"));
    assert!(
        output(&["env", "--host", "0.0.0.0"]).contains("http://127.0.0.1:1338\n"),
        "a client cannot connect to an address that means all addresses"
    );
    let error = failure(&["env", "--port", "0"]);
    assert!(error.contains("run -- COMMAND"), "{error}");
}

#[test]
fn run_gives_a_command_an_emulator_of_its_own() {
    let script = r#"
        token=$(curl -sS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
            "$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/api/token")
        curl -sS -H "X-aws-ec2-metadata-token: $token" \
            "$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/meta-data/iam/security-credentials/"
    "#;
    let printed = output(&["run", "--role", "mine", "--", "sh", "-c", script]);
    assert_eq!(printed, "mine");
    for (script, code) in [("exit 7", 7), ("kill -TERM $$", 128 + 15)] {
        let output = command(&["run", "sh", "-c", script]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{script}");
    }
    for (program, code) in [("/there/is/no/such/command", 127), ("/", 126)] {
        let output = command(&["run", program]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{program}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.contains(&format!("cannot run {program}: ")),
            "{error}"
        );
    }
}

#[test]
fn run_forwards_a_sigterm_and_waits_for_the_command() {
    let script =
        "trap 'echo asked; exit 7' TERM; echo ready; for i in $(seq 400); do sleep 0.05; done";
    let mut child = command(&["run", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(sent.success());
    assert_eq!(lines.next().unwrap().unwrap(), "asked");
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn a_certificate_needs_a_seed() {
    let certificate = output(&["certificate", "--seed", "mine"]);
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert!(certificate.ends_with("\n-----END CERTIFICATE-----\n"));
    assert_eq!(
        output(&["certificate", "rsa", "--seed", "mine"]),
        certificate
    );
    assert_ne!(
        output(&["certificate", "dsa", "--seed", "mine"]),
        certificate
    );
    assert!(failure(&["certificate"]).contains("--seed TEXT"));
}

#[test]
fn it_listens_on_several_addresses() {
    let running = Running::start(&["--port", "0", "--host", "127.0.0.1", "--host", "::1"]);
    let listening = running.ready["listening"].as_array().unwrap();
    assert_eq!(listening.len(), 2, "{}", running.ready);
    for url in listening {
        let address = url.as_str().unwrap().strip_prefix("http://").unwrap();
        TcpStream::connect(address).unwrap();
    }
    running.stop("-TERM");
}

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
            "unknown variant `statu`; did you mean `status`?\n",
            1,
        ),
        (
            &["fault", "add", "x", "zzz"],
            "unknown variant `zzz`; the documentation lists the ",
            1,
        ),
        (
            &["fault", "add", "x", "status", "code=abc"],
            "invalid type: string \"abc\", expected a whole number from 0 to 65535\n",
            1,
        ),
        (
            &["fault", "add", "x", "latency", "latency=5"],
            "invalid type: integer `5`, expected a length of time, like 5s or 6h 20m\n",
            1,
        ),
        (
            &["verify", "max_token_puts=x"],
            "max_token_puts: invalid type: string \"x\", expected a whole number, 0 or more\n",
            1,
        ),
        (&["fault", "add", "{\"name\""], "is not valid JSON", 1),
        (
            &["fault", "add", "x", "reset_peer", "after=later"],
            "after `accept`, `request` or `{ bytes = NUM }`",
            1,
        ),
        (
            &["fault", "add", "x", "status", "code=503", "body=page"],
            "a body is `aws`, `empty` or `{ text = ",
            1,
        ),
        (
            &["fault", "add", "x", "throttle", "effect=quiet"],
            "an effect is `no-response`, `reset` or a status code, 200 to 999",
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

#[test]
fn run_says_where_the_admin_api_is() {
    let script = r#""$0" ctl health"#;
    let binary = env!("CARGO_BIN_EXE_imds-emulator");
    assert_eq!(output(&["run", "--", "sh", "-c", script, binary]), "ok\n");
    let without = output(&[
        "run",
        "--no-admin",
        "--",
        "sh",
        "-c",
        "echo ${IMDS_EMULATOR_ADMIN_URL-none}",
    ]);
    assert_eq!(without, "none\n");
}

#[test]
fn the_examples_of_the_documentation_are_accepted() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let _user_data = File::new("user-data.yaml", "#cloud-config\n");
    for (name, path) in [
        ("configuration", "docs/configuration.md"),
        ("faults", "docs/faults.md"),
        ("aemm", "docs/aemm.md"),
    ] {
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        let examples: Vec<&str> = text
            .split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            // That is for a Cargo.toml.
            .filter(|example| !example.starts_with("[dev-dependencies]"))
            .collect();
        assert!(!examples.is_empty(), "{path}");
        for (at, example) in examples.into_iter().enumerate() {
            let file = File::new(&format!("example-{name}-{at}.toml"), example);
            output(&["config", "--config", file.path()]);
        }
    }
}

#[test]
fn the_documentation_has_every_fault_and_every_preset() {
    let schema: serde_json::Value = serde_json::from_str(&output(&["config", "--schema"])).unwrap();
    let documentation =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md")).unwrap();
    let faults = schema["$defs"]["Fault"]["oneOf"].as_array().unwrap();
    let types = faults
        .iter()
        .map(|fault| &fault["properties"]["type"]["const"]);
    let presets = schema["$defs"]["Preset"]["oneOf"].as_array().unwrap();
    let names: Vec<&str> = types
        .chain(presets.iter().map(|preset| &preset["const"]))
        .map(|name| name.as_str().unwrap())
        .collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        assert!(documentation.contains(&format!("`{name}`")), "{name}");
    }
}
