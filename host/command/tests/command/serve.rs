use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use imds_emulator::{Emulator, Preset};

use crate::support::{
    Imds, Running, command, failure, lines, request, result, run, stderr, stdout, until,
};

/// A server, and what it says of itself.
struct Served {
    running: Running,
    unset: String,
    url: String,
    token: String,
    file: String,
}

fn serve(arguments: &[&str]) -> Served {
    let running = Running::start(&[&["serve"], arguments].concat());
    let rest = |start: &str| {
        let line = running.line();
        let rest = line.strip_prefix(start).unwrap_or_else(|| panic!("{line}"));
        // An IPv6 address is quoted.
        rest.trim_matches('\'').to_owned()
    };
    let unset = rest("unset ");
    let url = rest("export AWS_CONTAINER_CREDENTIALS_FULL_URI=");
    let token = rest("export AWS_CONTAINER_AUTHORIZATION_TOKEN=");
    let file = rest("export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=");
    Served {
        running,
        unset,
        url,
        token,
        file,
    }
}

#[test]
fn who_has_the_token_gets_the_credentials() {
    let served = serve(&["--emulator"]);
    assert!(
        served.url.starts_with("http://127.0.0.1:"),
        "{}",
        served.url
    );
    let answer = request("GET", &served.url, Some(&served.token));
    assert_eq!(answer.status, 200);
    let head = answer.head.to_lowercase();
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    let document = answer.json();
    for key in ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"] {
        assert!(!document[key].as_str().unwrap().is_empty(), "{key}");
    }
    let expires: DateTime<Utc> = document["Expiration"].as_str().unwrap().parse().unwrap();
    assert!(expires > Utc::now());
    // Parsers in C and C++ want no null. IMDS names no account.
    assert!(document.get("AccountId").is_none(), "{document}");
}

#[test]
fn an_account_is_served_if_imds_names_it() {
    let config = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(&config, "instance.iam = { extended-path = true }\n").unwrap();
    let emulator = format!("--emulator={}", config.path().display());
    let served = serve(&[&emulator, "--extended-path"]);
    let document = request("GET", &served.url, Some(&served.token)).json();
    assert_eq!(document["AccountId"], "123456789012", "{document}");
}

#[cfg(unix)]
#[test]
fn the_token_is_in_a_file_too_as_long_as_it_is_good() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("token");
    std::fs::write(&named, "of an earlier run").unwrap();
    let named = named.to_str().unwrap();
    for arguments in [&["--emulator"][..], &["--emulator", "--token-file", named]] {
        let mut served = serve(arguments);
        // Most SDKs reject a newline.
        assert_eq!(std::fs::read_to_string(&served.file).unwrap(), served.token);
        let mode = std::fs::metadata(&served.file)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(served.running.terminate(), Some(0));
        assert!(!std::fs::exists(&served.file).unwrap(), "{}", served.file);
        assert_eq!(served.file == named, arguments.len() > 1);
    }
    let script = "echo ${AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE-none}";
    let arguments = [
        "serve",
        "--emulator",
        "--no-token-file",
        "--",
        "sh",
        "-c",
        script,
    ];
    assert_eq!(result(&arguments), "none\n");
    let complaint = failure(
        &["serve", "--emulator", "--token-file", "/nowhere/token"],
        1,
    );
    assert!(
        complaint.starts_with("error: cannot write the token to /nowhere/token: "),
        "{complaint}"
    );
}

#[test]
fn without_a_folder_for_it_there_is_no_file() {
    let script = "echo ${AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE-none}";
    let output = command(&["serve", "--emulator", "--", "sh", "-c", script])
        .env("TMPDIR", "/nowhere")
        .env("XDG_RUNTIME_DIR", "/nowhere/either")
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "none\n");
    assert!(
        stderr(&output).contains("cannot write the token to a file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nobody_else_does() {
    let served = serve(&["--emulator"]);
    let wrong = "0".repeat(served.token.len());
    let short = &served.token[1..];
    let bearer = format!("Bearer {}", served.token);
    for token in [None, Some(""), Some(&*wrong), Some(short), Some(&*bearer)] {
        let answer = request("GET", &served.url, token);
        assert_eq!(answer.status, 401, "{token:?}");
        assert!(!answer.body.contains("ASIA"), "{}", answer.body);
        assert!(!answer.body.contains(&served.token), "{}", answer.body);
        assert!(
            answer.body.contains("`Authorization: TOKEN`"),
            "{}",
            answer.body
        );
    }
    // The agent of ECS rejects a slash at the end, too (rusoto #870).
    for path in ["/", "/credentials/"] {
        let elsewhere = served.url.replace("/credentials", path);
        let answer = request("GET", &elsewhere, Some(&served.token));
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body, "");
    }
    assert_eq!(
        request("POST", &served.url, Some(&served.token)).status,
        405
    );
}

#[test]
fn it_survives_an_outage_even_beyond_the_end_of_the_credentials() {
    let second = TimeDelta::seconds(1);
    let imds = Imds::start(Emulator::builder().rotation(second * 4, second * 4));
    let served = serve(&[
        "--endpoint",
        imds.url(),
        "--timeout",
        "0.1",
        "--attempts",
        "1",
    ]);
    let ask = || {
        let (key, expires) = ask(&served);
        // An SDK takes no others.
        assert!(expires > Utc::now(), "{expires}");
        (key, expires)
    };
    let (key, end) = ask();
    imds.preset(Preset::ImdsOutage).unwrap();
    let mut last = (key, end);
    until(|| {
        last = ask();
        Utc::now() > end + second
    });
    // Long enough for every SDK, and soon enough for new ones.
    let reported = last.1 - Utc::now();
    assert!(reported > TimeDelta::seconds(110), "{last:?}");
    assert!(reported <= TimeDelta::minutes(2), "{last:?}");
    let old = last.0.clone();
    imds.remove_preset(Preset::ImdsOutage);
    until(|| ask().0 != old);
}

#[test]
fn where_there_are_none_it_says_why() {
    let imds = Imds::start(Emulator::builder().without_role());
    let served = serve(&["--endpoint", imds.url()]);
    let answer = request("GET", &served.url, Some(&served.token));
    assert_eq!(answer.status, 503);
    let body = answer.json();
    assert_eq!(body["code"], "no-role");
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("the name of the role"),
        "{body}"
    );
}

#[test]
fn nobody_waits_for_a_refresh_while_there_are_credentials() {
    let second = TimeDelta::seconds(1);
    let imds = Imds::start(Emulator::builder().rotation(second * 12, second * 12));
    let served = serve(&["--endpoint", imds.url()]);
    let (key, end) = ask(&served);
    // Three attempts of a second each, from the middle of their life on.
    imds.preset(Preset::ImdsOutage).unwrap();
    let answered_within = || {
        let start = Instant::now();
        let (held, reported) = ask(&served);
        assert_eq!(held, key);
        (start.elapsed(), reported)
    };
    // Those that did wait for IMDS, which might have answered.
    let mut waits = Vec::new();
    until(|| {
        let (time, _) = answered_within();
        waits.extend((time > Duration::from_millis(200)).then_some(time));
        Utc::now() > end - second
    });
    assert!(waits.len() >= 3, "{waits:?}");
    assert_median_is_as_promised(waits);
    // From now on they have expired, and still nobody waits.
    until(|| Utc::now() > end);
    let (times, reported): (Vec<_>, Vec<_>) = (0..5).map(|_| answered_within()).unzip();
    assert_median_is_as_promised(times);
    assert!(reported[4] > Utc::now() + second * 110, "{reported:?}");
}

/// `serve` promises an answer within 0.4 s. A busy machine may delay a few of these.
fn assert_median_is_as_promised(mut times: Vec<Duration>) {
    times.sort();
    let median = times[times.len() / 2];
    assert!(median <= Duration::from_millis(400), "{times:?}");
}

/// The access key ID, and the expiration.
fn ask(served: &Served) -> (String, DateTime<Utc>) {
    let answer = request("GET", &served.url, Some(&served.token));
    assert_eq!(answer.status, 200, "{answer:?}");
    let document = answer.json();
    let expires = document["Expiration"].as_str().unwrap().parse().unwrap();
    let key = document["AccessKeyId"].as_str().unwrap().to_owned();
    (key, expires)
}

#[test]
fn it_is_for_this_machine_alone() {
    let complaint = failure(&["serve", "--emulator", "--listen", "0.0.0.0:0"], 2);
    assert!(
        complaint.contains(
            "--listen is 0.0.0.0:0; accepted: a loopback address, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23], because"
        ),
        "{complaint}"
    );
}

#[test]
fn it_listens_on_loopback_addresses_and_on_those_of_the_agents() {
    for address in ["127.0.0.5:0", "[::1]:0"] {
        let served = serve(&["--emulator", "--listen", address]);
        let start = format!("http://{}", address.strip_suffix('0').unwrap());
        assert!(served.url.starts_with(&start), "{}", served.url);
    }
    // In a network of its own, where these addresses are.
    for address in ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"] {
        let script = "ip link set lo up && ip addr add \"$1\" dev lo && shift && exec \"$@\"";
        let plain = address.trim_matches(['[', ']']);
        let length = if plain == address { 32 } else { 128 };
        let output = Command::new("unshare")
            .args(["--map-root-user", "--net", "sh", "-c", script, "sh"])
            .arg(format!("{plain}/{length}"))
            .arg(env!("CARGO_BIN_EXE_ec2-role-credentials"))
            .args(["serve", "--emulator", "--listen"])
            .arg(format!("{address}:80"))
            .args(["--", "sh", "-c", "echo $AWS_CONTAINER_CREDENTIALS_FULL_URI"])
            .env("HOME", "/nonexistent")
            .output();
        match output {
            Ok(output) if output.status.success() => assert_eq!(
                stdout(&output),
                // A URI without the port of http.
                format!("http://{address}:80/credentials\n")
            ),
            refused => eprintln!("skipped: unshare is not possible here: {refused:?}"),
        }
        // Here no interface has it, which is another error.
        let listen = format!("{address}:0");
        let complaint = failure(&["serve", "--emulator", "--listen", &listen], 1);
        assert!(
            complaint.starts_with(&format!("error: cannot listen on {listen}: ")),
            "{complaint}"
        );
    }
}

#[test]
fn a_shell_forgets_other_sources() {
    let served = serve(&["--emulator"]);
    let others: Vec<_> = served.unset.split(' ').collect();
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_ACCESS_KEY",
        "AMAZON_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ] {
        assert!(others.contains(&name), "{name}");
    }
    // What it sets it does not unset.
    assert!(!others.contains(&"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
}

/// A home directory with these files in `.aws`.
fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".aws");
    std::fs::create_dir(&folder).unwrap();
    for (name, content) in files {
        std::fs::write(folder.join(name), content).unwrap();
    }
    home
}

#[test]
fn credentials_of_the_default_profile_do_not_come_first() {
    let home = home(&[
        (
            "credentials",
            "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = s\n[other]\naws_access_key_id = AKIAOTHER\n",
        ),
        (
            "config",
            "[default]\nregion = eu-central-1\ncredential_process = /bin/false\n[profile work]\nregion = eu-west-3\n",
        ),
    ]);
    let serve = |arguments: &[&str]| {
        command(&[&["serve", "--emulator"], arguments].concat())
            .env("HOME", home.path())
            .env("AWS_PROFILE", "work")
            .output()
            .unwrap()
    };
    let script = "cat $AWS_SHARED_CREDENTIALS_FILE $AWS_CONFIG_FILE; echo $AWS_REGION $AWS_DEFAULT_REGION $AWS_PROFILE; \
                  ls -l $AWS_CONFIG_FILE | cut -c 1-10; echo $AWS_CONFIG_FILE";
    let output = serve(&["--", "sh", "-c", script]);
    let (seen, copy) = stdout(&output).trim_end().rsplit_once('\n').unwrap();
    assert_eq!(
        seen,
        "[default]\n[other]\naws_access_key_id = AKIAOTHER\n\
         [default]\nregion = eu-central-1\n[profile work]\nregion = eu-west-3\n\
         eu-west-3 eu-west-3\n-rw-------"
    );
    assert!(!std::fs::exists(copy).unwrap(), "{copy}");
    let notes = stderr(&output);
    assert_eq!(
        notes.matches("note: the command gets a copy of ").count(),
        2,
        "{notes}"
    );
    assert!(notes.contains("/.aws/credentials without"), "{notes}");

    // A shell is told.
    let mut child = command(&["serve", "--emulator"])
        .env("HOME", home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let notes = lines(child.stderr.take().unwrap());
    let note = notes.iter().find(|line| {
        line.contains("note: most SDKs use the credentials of the profile default in")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(note.unwrap().contains("/.aws/credentials first"));
}

#[test]
fn a_file_without_credentials_stays_as_it_is() {
    let home = home(&[("config", "[default]\nregion = eu-central-1\n")]);
    let output = command(&[
        "serve",
        "--emulator",
        "--",
        "sh",
        "-c",
        "echo ${AWS_CONFIG_FILE-unset}",
    ])
    .env("HOME", home.path())
    .output()
    .unwrap();
    assert_eq!((stdout(&output), stderr(&output)), ("unset\n", ""));
}

#[test]
fn the_command_beside_it_is_told_where_it_is_and_of_no_other_source() {
    let script = "env | grep ^AWS_";
    let output = command(&["serve", "--emulator", "--", "sh", "-c", script])
        .env("AWS_ACCESS_KEY_ID", "of somebody else")
        .env(
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "/of/somebody/else",
        )
        .output()
        .unwrap();
    let text = str::from_utf8(&output.stdout).unwrap();
    let variables: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    assert!(
        variables.contains_key("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        "{text}"
    );
    assert!(
        variables.contains_key("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        "{text}"
    );
    assert!(!text.contains("somebody"), "{text}");
    let file = variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
    assert!(!std::fs::exists(file).unwrap(), "{file}");

    assert_eq!(
        result(&["serve", "--emulator", "--", "echo", "hello"]),
        "hello\n"
    );
    let status = run(&["serve", "--emulator", "--", "sh", "-c", "exit 3"]).status;
    assert_eq!(status.code(), Some(3));
}

#[cfg(unix)]
#[test]
fn it_stops_when_asked() {
    let mut served = serve(&["--emulator"]);
    assert_eq!(served.running.terminate(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_sigterm_is_for_the_command_to_answer() {
    let script = "trap 'echo asked; sleep 0.1; exit 7' TERM; echo ready; for i in $(seq 400); do sleep 0.05; done";
    let mut running = Running::start(&["serve", "--emulator", "--", "sh", "-c", script]);
    assert_eq!(running.line(), "ready");
    assert_eq!(running.terminate(), Some(7));
    assert_eq!(running.line(), "asked");
}

#[test]
fn doctor_says_which_clients_cannot_use_it() {
    let doctor = env!("CARGO_BIN_EXE_ec2-role-credentials");
    let notes = |arguments: &[&str]| {
        let output = run(&[&["serve", "--emulator"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        let notes = stdout(&output).lines();
        let notes = notes.filter_map(|line| line.strip_prefix("note  SDKs           "));
        notes.map(str::to_owned).collect::<Vec<_>>()
    };
    let told = notes(&["--", doctor, "doctor"]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("AWS_CONTAINER_CREDENTIALS_FULL_URI is http://127.0.0.1:"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("s3fs cannot use it, nor can the SDK for Ruby before"),
        "{told:?}"
    );

    let told = notes(&[
        "--listen",
        "[::1]:0",
        "--no-token-file",
        "--",
        doctor,
        "doctor",
    ])
    .join("\n");
    assert!(
        told.contains("minio-py and aws-credentials-http cannot use the address ::1"),
        "{told}"
    );
    assert!(
        told.contains("polars, deltalake and obstore ignore it"),
        "{told}"
    );

    let script = "printf 'x\\n' > \"$0\"; AWS_PROFILE= AWS_ACCESS_KEY=k AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=$0 \"$1\" doctor";
    let file = tempfile::NamedTempFile::new().unwrap();
    let file = file.path().to_str().unwrap();
    let told = notes(&["--", "sh", "-c", script, file, doctor]).join("\n");
    assert!(told.contains("ends with a newline"), "{told}");
    assert!(told.contains("SDKs use AWS_ACCESS_KEY first"), "{told}");
}
