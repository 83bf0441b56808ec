//! The command `imds-conformance`, as a user runs it.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_imds-conformance"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A client that uses the line protocol and makes up credentials.
const MADE_UP: &str =
    r#"made-up=sh -c 'echo ready; while read q; do echo credentials ASIAOUTOFTHINAIR0000; done'"#;

/// A client that is run for each question, and makes up credentials.
const ONCE: &str = r#"once=sh -c 'echo ASIAOUTOFTHINAIR0000'"#;

#[test]
fn without_a_client_it_runs_the_component() {
    let output = run(&["run", "token/requested-first", "document/error-code"]);
    assert!(output.status.success(), "{}", stdout(&output));
    let text = stdout(&output);
    assert!(
        text.contains("component: 3 passed, 0 failed, 0 not run"),
        "{text}"
    );
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_command_that_speaks_the_line_protocol_is_a_client() {
    let output = run(&[
        "run",
        "token/requested-first",
        "refresh/held-for",
        "--client",
        MADE_UP,
        "--no-faketime",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains("made-up: 0 passed, 1 failed, 1 not run"),
        "{text}"
    );
    assert!(
        text.contains("seen: ASIAOUTOFTHINAIR0000, which IMDS does not currently issue"),
        "{text}"
    );
    assert!(
        text.contains("imds-conformance explain token/requested-first"),
        "{text}"
    );
    assert!(
        text.contains("1 not run, because the client's clock cannot be moved"),
        "{text}"
    );
}

#[test]
fn a_command_that_is_run_for_each_question_is_a_client() {
    let output = run(&[
        "run",
        "document/error-code",
        "stability/recovers-from",
        "--client",
        ONCE,
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("expected get: an error (refused)"), "{text}");
    assert!(
        text.contains("because the client answers only one question"),
        "{text}"
    );
}

/// A client that has the address of IMDS compiled in.
#[cfg(target_os = "linux")]
const COMPILED_IN: &str = r#"compiled-in=sh -c '
    imds=http://169.254.169.254/latest role=meta-data/iam/security-credentials
    echo ready
    while read question; do
        token=$(curl -s -m 5 -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" $imds/api/token)
        name=$(curl -s -m 5 -H "X-aws-ec2-metadata-token: $token" $imds/$role/)
        key=$(curl -s -m 5 -H "X-aws-ec2-metadata-token: $token" $imds/$role/$name | sed -n "s/.*\"AccessKeyId\" : \"\([^\"]*\).*/\1/p")
        echo credentials $key
    done'"#;

#[test]
#[cfg(target_os = "linux")]
fn an_isolated_client_finds_imds_at_its_real_address() {
    let folder = TempDir::new().unwrap();
    let report = folder.path().join("report.json");
    let output = run(&[
        "run",
        "token/requested-first",
        "settings/endpoint-trailing-slash",
        "settings/endpoint-path",
        "--isolated",
        "--client",
        COMPILED_IN,
        "--report",
        &format!("json={}", report.display()),
    ]);
    if stderr(&output).contains("cannot isolate the command") {
        eprintln!(
            "not run, because namespaces are forbidden: {}",
            stderr(&output)
        );
        return;
    }
    assert!(report.exists(), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let outcomes = report["outcomes"].as_array().unwrap();
    let verdict = |scenario: &str| {
        let outcome = outcomes.iter().find(|found| found["scenario"] == scenario);
        outcome.unwrap()["verdict"].as_str().unwrap()
    };
    assert_eq!(verdict("token/requested-first"), "passed");
    assert_eq!(verdict("settings/endpoint-trailing-slash"), "passed");
    // It does not read the variable of this scenario.
    assert_eq!(verdict("settings/endpoint-path"), "failed");
}

#[test]
#[cfg(target_os = "linux")]
fn an_isolated_client_gets_no_variable_that_points_it_at_imds() {
    let client = r#"sh -c 'echo ready; while read q; do echo "error endpoint is ${AWS_EC2_METADATA_SERVICE_ENDPOINT-not set}"; done'"#;
    let output = run(&[
        "run",
        "token/requested-first",
        "--isolated",
        "--client",
        client,
    ]);
    if stderr(&output).contains("cannot isolate the command") {
        eprintln!(
            "not run, because namespaces are forbidden: {}",
            stderr(&output)
        );
        return;
    }
    assert!(
        stderr(&output).contains("endpoint is not set"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_built_in_client_cannot_be_isolated() {
    let output = run(&["run", "token/requested-first", "--isolated"]);
    assert_eq!(output.status.code(), Some(2));
    let message =
        "the built-in client component cannot be isolated; accepted with --isolated: a command";
    assert!(stderr(&output).contains(message), "{}", stderr(&output));
}

#[test]
fn a_client_that_does_not_work_at_all_is_an_error() {
    for (client, message) in [
        ("/nowhere/client", "cannot run /nowhere/client: "),
        ("sh -c 'echo what happened >&2; exit 3'", "what happened"),
        (
            "sh -c 'echo ready; read q; echo who are you'",
            "the client answered \"who are you\"",
        ),
        ("sh -c 'oh", "use a program and its arguments"),
    ] {
        let output = run(&["run", "token/requested-first", "--client", client]);
        assert_eq!(output.status.code(), Some(2), "{client}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn a_baseline_excuses_what_failed_before() {
    let folder = TempDir::new().unwrap();
    let baseline = folder.path().join("report.json");
    let report = format!("json={}", baseline.display());
    let arguments = ["run", "document/", "--client", MADE_UP];
    let first = run(&[&arguments[..], &["--report", &report]].concat());
    assert_eq!(first.status.code(), Some(1));
    let again = [&arguments[..], &["--baseline", baseline.to_str().unwrap()]].concat();
    assert_eq!(run(&again).status.code(), Some(0));

    // Pretend that one scenario passed before.
    let text = fs::read_to_string(&baseline).unwrap();
    fs::write(&baseline, text.replacen("\"failed\"", "\"passed\"", 1)).unwrap();
    assert_eq!(run(&again).status.code(), Some(1));

    fs::write(&baseline, "{}").unwrap();
    let output = run(&again);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("use a file written by --report json=FILE"));
}

#[test]
fn a_former_name_of_a_scenario_is_still_accepted() {
    for command in ["list", "explain"] {
        let output = run(&[command, "token/refused-for-ever"]);
        let text = stdout(&output);
        assert!(text.contains("token/401-always"), "{command}: {text}");
    }

    let folder = TempDir::new().unwrap();
    let baseline = folder.path().join("report.json");
    let report = format!("json={}", baseline.display());
    let arguments = ["run", "token/401-always", "--client", MADE_UP];
    run(&[&arguments[..], &["--report", &report]].concat());
    let text = fs::read_to_string(&baseline).unwrap();
    let renamed = text.replace(
        "\"scenario\": \"token/401-always\"",
        "\"scenario\": \"token/refused-for-ever\"",
    );
    assert_ne!(text, renamed);
    fs::write(&baseline, renamed).unwrap();
    let again = [&arguments[..], &["--baseline", baseline.to_str().unwrap()]].concat();
    assert_eq!(run(&again).status.code(), Some(0), "it failed before, too");
}

#[test]
fn the_weight_decides_the_exit_status() {
    let arguments = [
        "run",
        "document/utc-offset",
        "--client",
        "once=sh -c 'exit 0'",
    ];
    let output = run(&arguments);
    // The client gets no credentials although IMDS is healthy.
    assert_eq!(output.status.code(), Some(2));

    let arguments = ["run", "hygiene/user-agent", "--client", MADE_UP];
    assert_eq!(
        run(&arguments).status.code(),
        Some(0),
        "a failed `may` is not a failure"
    );
    assert_eq!(
        run(&[&arguments[..], &["--strict"]].concat()).status.code(),
        Some(1)
    );
}

#[test]
fn every_report_is_written_to_its_file() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let wanted: Vec<String> = ["json", "junit", "tap", "html", "markdown"]
        .map(|format| format!("{format}={}", file(format)))
        .into();
    let mut arguments = vec![
        "run",
        "role/",
        "--client",
        "component",
        "--client",
        MADE_UP,
        "--report",
        "text",
    ];
    for report in &wanted {
        arguments.extend(["--report", report]);
    }
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("✓ passed   ✗ failed   · not run"), "{text}");

    let read = |name: &str| fs::read_to_string(file(name)).unwrap();
    let json: serde_json::Value = serde_json::from_str(&read("json")).unwrap();
    let scenarios = json["scenarios"].as_array().unwrap().len();
    assert_eq!(json["outcomes"].as_array().unwrap().len(), 2 * scenarios);
    assert_eq!(json["outcomes"][0]["verdict"], "passed");
    assert!(
        !json["outcomes"][0]["trace"]["requests"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    let tap = read("tap");
    let mut lines = tap.lines();
    assert_eq!(lines.next(), Some("TAP version 14"));
    assert_eq!(lines.next(), Some(format!("1..{}", 2 * scenarios).as_str()));
    let results = tap
        .lines()
        .filter(|line| line.starts_with("ok ") || line.starts_with("not ok "));
    assert_eq!(results.count(), 2 * scenarios);

    let junit = read("junit");
    assert_eq!(junit.matches("<testcase ").count(), 2 * scenarios);
    assert_eq!(
        junit.matches("<failure ").count(),
        tap.matches("\nnot ok ").count()
    );
    assert!(junit.ends_with("</testsuites>\n"), "{junit}");

    assert!(read("html").starts_with("<!DOCTYPE html>"));
    assert!(read("markdown").contains("| **role** |"));
}

#[test]
fn the_same_seed_gives_the_same_verdicts() {
    let verdicts = |seed: &str| {
        let output = run(&["run", "throttling/", "--seed", seed, "--report", "json"]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdict =
            |outcome: &serde_json::Value| format!("{} {}", outcome["scenario"], outcome["verdict"]);
        let outcomes = json["outcomes"].as_array().unwrap();
        outcomes.iter().map(verdict).collect::<Vec<_>>()
    };
    assert_eq!(verdicts("7"), verdicts("7"));
}

#[test]
fn scenarios_are_listed_and_described() {
    let list = run(&["list", "token/"]);
    let text = stdout(&list);
    assert!(text.contains("token/requested-first"), "{text}");
    assert!(!text.contains("role/"), "{text}");
    let json = run(&["list", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json.as_array().unwrap().len() >= 80);

    let output = run(&["explain", "token/replaced-after-401"]);
    let text = stdout(&output);
    for part in [
        "Replaces a token that IMDS answers with 401, within the same call\n",
        "  rests on  I17; B2.5\n",
        "IMDS forgets its tokens when it restarts.",
        "  2. IMDS: \"revoke_tokens\"\n",
        "  3. advance the clock by 31m\n",
        "  4. get: new credentials\n",
        "at most 1 request with status=401\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for arguments in [
        &["explain", "token/nothing"][..],
        &["list", "nothing of the sort"],
        &["run", "xyz"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("list them with `imds-conformance list`"));
    }
}

#[test]
fn a_new_scenario_is_written_and_run() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("mine/first.toml");
    let path = file.to_str().unwrap();
    assert!(run(&["new", path]).status.success());
    let output = run(&["run", "--scenarios", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(stdout(&output).contains("component: 1 passed"));
    // An existing file is not overwritten.
    let output = run(&["new", path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("cannot write "),
        "{}",
        stderr(&output)
    );

    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("weight =", "wight =")).unwrap();
    let output = run(&["run", "--scenarios", path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("unknown field `wight`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_invalid_answer_fails_even_if_an_error_is_expected() {
    // The client works until the scenario sets a variable.
    let client = |act: &str| {
        format!(
            "it=sh -c 'echo ready; while read q; do \
             [ -z \"$AWS_METADATA_SERVICE_TIMEOUT\" ] || {act}; echo credentials ASIAX; done'"
        )
    };
    for (act, seen) in [
        (
            "kill -9 $$",
            "seen: no answer: the client exited (signal: 9",
        ),
        (
            "exit 0",
            "seen: no answer: the client exited (exit status: 0)",
        ),
        (
            "printf \"wonderful \"",
            "seen: no answer: the client answered \"wonderful credentials ASIAX\"",
        ),
        (
            "printf \"\\377\\n\"",
            "seen: no answer: cannot read the client's answer",
        ),
    ] {
        let output = run(&[
            "run",
            "transport/no-response",
            "--no-faketime",
            "--client",
            &client(act),
        ]);
        assert!(
            stdout(&output).contains(seen),
            "{}{}",
            stdout(&output),
            stderr(&output)
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_scenario_that_is_no_longer_run_is_worse_than_the_baseline() {
    let folder = TempDir::new().unwrap();
    let baseline = folder.path().join("report.json");
    let report = format!("json={}", baseline.display());
    let name = "it=sh -c 'echo ready; while read q; do echo credentials ASIAX; done'";
    let arguments = ["run", "throttling/burst", "hygiene/no-f", "--client", name];
    run(&[&arguments[..], &["--report", &report]].concat());
    let text = fs::read_to_string(&baseline).unwrap();
    fs::write(&baseline, text.replace("\"not-run\"", "\"passed\"")).unwrap();
    let again = [&arguments[..], &["--baseline", baseline.to_str().unwrap()]].concat();
    assert_eq!(run(&again).status.code(), Some(1));
}

#[test]
fn a_secret_of_the_scenario_in_what_a_client_writes_is_a_failure() {
    let leaky = r#"leaky=sh -c 'echo ready; while read q; do
        echo "no role dYq3Ra9vPZ1kXw0TmN8cLb+4HsJe6GfUp2QiVo7K" >&2
        echo credentials ASIAX; done'"#;
    let output = run(&["run", "role/secret-key", "--client", leaky]);
    let text = stdout(&output);
    assert!(
        text.contains("seen: the client wrote a secret of the scenario"),
        "{text}{}",
        stderr(&output)
    );
}

#[test]
fn a_secret_in_what_a_client_writes_is_a_failure() {
    // The client reads the document and logs it.
    let leaky = r#"leaky=sh -c 'e=${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest
        t=$(curl -s --noproxy "*" -X PUT -H "x-aws-ec2-metadata-token-ttl-seconds: 60" $e/api/token)
        d=$(curl -s --noproxy "*" -H "x-aws-ec2-metadata-token: $t" $e/meta-data/iam/security-credentials/emulated-role)
        echo "$d" >&2
        echo "$d"'"#;
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("not run, because there is no curl");
        return;
    }
    let output = run(&["run", "hygiene/no-forwarded", "--client", leaky]);
    let text = stdout(&output);
    assert!(
        text.contains("seen: the client wrote the secret access key"),
        "{text}{}",
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
#[cfg(target_os = "linux")]
fn measurements_become_pages_without_measuring() {
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("page.html");
    let json = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/programs.json");
    let output = run(&["programs", "--from", json, "--html", page.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!((stdout(&output), stderr(&output)), ("", ""));
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("imds-conformance programs boto3"), "{page}");

    let output = run(&["programs", "--from", json]);
    let text = stdout(&output);
    assert!(text.contains("\nboto3 1."), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_mistyped_program_is_answered_with_similar_names() {
    for (name, expected) in [
        (
            "s3cmdd",
            "no program is named \"s3cmdd\"; did you mean `s3cmd` or `s3cmd-2.1` or `s4cmd`?",
        ),
        (
            "zzz",
            "no program is named \"zzz\" (--list prints all names)",
        ),
    ] {
        let output = run(&["programs", name]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    let names = run(&["programs", "--list"]);
    let names: Vec<&str> = stdout(&names).lines().collect();
    assert!(names.contains(&"s3cmd") && names.is_sorted(), "{names:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_cannot_be_written_is_an_error_before_anything_is_measured() {
    let folder = TempDir::new().unwrap();
    let into = folder.path().join("into");
    for option in ["--json", "--markdown", "--html", "--svg"] {
        let file = folder.path().join("none/file");
        let (file, into) = (file.to_str().unwrap(), into.to_str().unwrap());
        let output = run(&["programs", "s3cmd", "--into", into, option, file]);
        assert!(!output.status.success());
        let expected = format!("cannot write {file}: No such file or directory");
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    }
    assert!(!into.exists());
    // A folder for programs that cannot be written is named.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let output = run(&["programs", "s3cmd", "--into", file.to_str().unwrap()]);
    let expected = format!("cannot create {}/s3cmd/home: ", file.display());
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
}
