//! The command `imds-emulator`, as a user runs it. What every subcommand shares is here: starting,
//! stopping, roles, ports, `run`, `env` and `certificate`.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

mod configuration;
mod ctl;
mod documentation;
mod report;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The command, with the usual signals even if the tests run under `nohup` or in the background.
fn command(arguments: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_imds-emulator");
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new("env");
        command.args(["--default-signal", program]);
        command
    } else {
        Command::new(program)
    };
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

    /// The body of the response to a request for the role list.
    fn role(&self) -> String {
        let ask = |head: &str| {
            let mut stream = TcpStream::connect(self.address()).unwrap();
            write!(stream, "{head}\r\nHost: imds\r\n\r\n").unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).unwrap();
            response.split_once("\r\n\r\n").unwrap().1.to_owned()
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
fn it_stops_when_standard_input_ends_only_if_it_is_told_to() {
    let mut running = Running::start(&["--port", "0"]);
    // The tests give it an empty standard input.
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.child.try_wait().unwrap().is_none());
    drop(running);

    for ends_by_signal in [false, true] {
        let mut child = command(&["--port", "0", "--stop-with-stdin"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        let mut running = Running { child, ready };
        // What comes on standard input does not matter.
        stdin.write_all(b"text\n").unwrap();
        assert_eq!(running.role(), "emulated-role");
        assert!(running.child.try_wait().unwrap().is_none());
        let (output, took) = if ends_by_signal {
            running.stop("-TERM")
        } else {
            drop(stdin);
            let began = Instant::now();
            let status = running.child.wait().unwrap();
            let output = Output {
                status,
                stdout: Vec::new(),
                stderr: Vec::new(),
            };
            (output, began.elapsed())
        };
        assert_eq!(output.status.code(), Some(0));
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
}

#[test]
fn a_subcommand_does_not_stop_with_standard_input() {
    for subcommand in [&["run", "--", "true"][..], &["env"], &["ctl", "health"]] {
        let mut arguments = vec!["--stop-with-stdin"];
        arguments.extend(subcommand);
        let output = command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{subcommand:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.contains("--stop-with-stdin cannot be used with a subcommand"),
            "{error}"
        );
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
fn env_prints_what_points_an_sdk_at_it() {
    assert_eq!(
        output(&["env", "--port", "4321"]),
        "export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:4321/\n\
         export AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv4\n\
         unset AWS_EC2_METADATA_DISABLED\n"
    );
    assert!(output(&["env", "--host", "::1"]).contains("='http://[::1]:1338/'\n"));
    assert!(
        output(&["env", "--host", "0.0.0.0"]).contains("http://127.0.0.1:1338/\n"),
        "a client cannot connect to an address that means all addresses"
    );
    let error = failure(&["env", "--port", "0"]);
    assert!(error.contains("run -- COMMAND"), "{error}");
}

#[test]
fn run_gives_a_command_an_emulator_of_its_own() {
    let script = r#"
        token=$(curl -sS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
            "${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/api/token")
        curl -sS -H "X-aws-ec2-metadata-token: $token" \
            "${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest/meta-data/iam/security-credentials/"
    "#;
    let printed = output(&["run", "--role", "mine", "--", "sh", "-c", script]);
    assert_eq!(printed, "mine");
    // The AWS SDK for JavaScript v2 takes any value for "disabled".
    let script = "echo ${AWS_EC2_METADATA_DISABLED-not set}";
    let mut disabled = command(&["run", "--", "sh", "-c", script]);
    let output = disabled.env("AWS_EC2_METADATA_DISABLED", "true").output();
    assert_eq!(output.unwrap().stdout, b"not set\n");
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

/// Whether this system lets this user isolate a command. If not, the test says so.
#[cfg(target_os = "linux")]
fn can_isolate() -> bool {
    let output = command(&["run", "--isolated", "--", "true"])
        .output()
        .unwrap();
    let forbidden = String::from_utf8_lossy(&output.stderr).contains("namespaces");
    if forbidden {
        eprintln!("not run, because namespaces are forbidden");
    }
    !forbidden
}

#[cfg(target_os = "linux")]
#[test]
fn an_isolated_command_finds_imds_where_it_is_on_ec2() {
    if !can_isolate() {
        return;
    }
    let script = "curl -s -m 5 http://169.254.169.254/latest/meta-data/instance-id; echo; \
                  cat /sys/class/dmi/id/board_asset_tag; env | grep -c ^AWS_EC2_METADATA; \
                  $0 ctl requests count; curl -s -m 5 http://192.0.2.1; exit $?";
    let output = command(&["--http-tokens", "optional", "run", "--isolated", "--"])
        .args(["sh", "-c", script, env!("CARGO_BIN_EXE_imds-emulator")])
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let id = "i-0a1b2c3d4e5f67890";
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{id}\n{id}\n0\n1\n"),
        "{output:?}"
    );
    // curl: the network is unreachable.
    assert_eq!(output.status.code(), Some(7));
}

#[cfg(target_os = "linux")]
#[test]
fn isolation_has_options() {
    if !can_isolate() {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"outside").unwrap();
    });
    let script = "id -u; test -e /sys/class/dmi/id/board_asset_tag && cat \
                  /sys/class/dmi/id/board_asset_tag; curl -s -m 5 --http0.9 http://127.0.0.1:$0/";
    let output = command(&[
        "run",
        "--isolated",
        "--map-root",
        "--no-dmi",
        "--forward",
        &port,
    ])
    .args(["--", "sh", "-c", script, &port])
    .output()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("0\n") && text.ends_with("outside"),
        "{output:?}"
    );
    assert!(!text.contains("i-0a1b2c3d4e5f67890"), "{output:?}");
    server.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_of_an_isolated_command_when_the_emulator_is_killed() {
    use std::os::unix::process::CommandExt as _;

    if !can_isolate() {
        return;
    }
    // At different moments of the start, and later.
    for (at, pause) in [1, 3, 5, 8, 12, 20, 40, 200].into_iter().enumerate() {
        let marker = format!("97{}{at}", std::process::id());
        let script = format!("sleep {marker} & setsid sleep {marker}");
        let mut child = command(&["run", "--isolated", "--", "sh", "-c", &script])
            .process_group(0)
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_running(&marker) {
            assert!(
                Instant::now() < deadline,
                "after {pause} ms a process is left"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whether a process has this text in its command line.
#[cfg(target_os = "linux")]
fn is_running(text: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines =
        processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).contains(text))
}

#[test]
fn no_password_of_a_url_is_printed_wherever_the_url_is() {
    let folder = tempfile::tempdir().unwrap();
    let aemm = folder.path().join("aemm.json");
    let aemm = aemm.to_str().unwrap();
    std::fs::write(aemm, r#"{"server": {"hostname": "http://u:PW1x@h"}}"#).unwrap();
    let url = "http://u:PW1x@h/x";
    for arguments in [
        &["--host", url][..],
        &["--admin-port", url],
        &["--config", url],
        &["--admin-socket", url],
        &["config", "--set", &format!("server.hosts=[\"{url}\"]")],
        &["config", "--set", &format!("{url}=1")],
        &["config", "--aemm-config", aemm],
        &["run", "--report", &format!("text={url}"), "--", "true"],
        &["run", "--verify", url, "--", "true"],
        &["run", "--forward", url, "--isolated", "--", "true"],
        &["run", "--", url],
        &["ctl", "--admin", &url.replace("http", "ftp"), "health"],
        &["ctl", "clock", "advance", url],
    ] {
        let output = command(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let text = format!("{output:?}").to_lowercase();
        assert!(!text.contains("pw1x"), "{arguments:?}: {text}");
        assert!(text.contains("@h"), "{arguments:?}: {text}");
    }
    let output = command(&["config"])
        .env("IMDS_EMULATOR_SERVER__PORT", url)
        .output()
        .unwrap();
    assert!(!format!("{output:?}").contains("PW1x"), "{output:?}");
}
