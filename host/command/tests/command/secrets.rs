//! No command shows a secret or a command to a terminal, wherever a server puts it. What `get
//! --show-secrets`, the formats of `get`, `process` and `metadata` print on standard output is theirs to
//! print.

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{
    API_TOKEN, Answers, DOCUMENT, IDENTITY, LIST, SECRET, TOKEN, at, document, identity, ok,
    response, serve, usual,
};
use crate::support::{command, lines, request};

/// Parts of the secret access key that are searched for.
const MARKS: [&str; 3] = ["wJalrXUtnF", "K7MDENG", "MARKEDKEY"];

/// Commands to a terminal: with the escape character, with the control character that stands for two
/// characters in ISO 6429, a bell, and an override of the direction of writing.
const COMMANDS: &str = "\u{1b}[31m\u{9b}31m\u{7}\u{202e}";

/// A document with some fields replaced.
fn with(mut document: Value, fields: &[&str], text: &str) -> Vec<u8> {
    for field in fields {
        document[*field] = text.into();
    }
    ok(&document.to_string())
}

/// Every place of an answer, with `text` in it.
fn cases(text: &str) -> Vec<(String, Answers)> {
    let mut cases: Vec<(String, Answers)> = Vec::new();
    let mut add = |name: String, answers: Answers| cases.push((name, answers));

    // Text alone could be the path and the name of a role.
    let page = format!("<html>{text}</html>");
    for (step, path, body) in [
        ("token", API_TOKEN, text),
        ("list", LIST, &page),
        ("document", DOCUMENT, text),
    ] {
        let all_headers = format!(
            "Server: {text}\r\nContent-Type: {text}\r\nLocation: http://127.0.0.1:1/{text}\r\nRetry-After: {text}\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: {text}\r\n"
        );
        for status in ["302 Found", "403 Forbidden", "404 Not Found", "500 Oops"] {
            let answer = response(status, &all_headers, text);
            add(format!("{step}: {status}"), at(path, answer));
        }
        add(
            format!("{step}: reason"),
            at(path, response(&format!("418 {text}"), "", text)),
        );
        add(
            format!("{step}: headers"),
            at(path, response("200 OK", &all_headers, body)),
        );
        add(format!("{step}: no HTTP"), at(path, text.into()));
    }
    let chunk =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{text}\r\n{text}\r\n");
    add("chunk".into(), at(DOCUMENT, chunk.into()));
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {text}\r\n\r\n{text}");
    add("length".into(), at(DOCUMENT, length.into()));

    let leaked = with(document(), &["Token"], text);
    add("the list is the document".into(), at(LIST, leaked));
    add("a page as the list".into(), at(LIST, ok(&page)));
    for name in ["", "SecretAccessKey=", "AWS_SECRET_ACCESS_KEY="] {
        let list = format!("{name}{SECRET}");
        add(format!("the list is {name} a secret"), at(LIST, ok(&list)));
    }
    add(
        "lines in the list".into(),
        at(LIST, ok(&format!("\n \n {text} {text}\nrole"))),
    );

    for field in ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"] {
        add(
            format!("document: {field}"),
            at(DOCUMENT, with(document(), &[field], text)),
        );
    }
    let others = ["AccountId", "Type", "LastUpdated", "Message", "Unknown"];
    add(
        "document: others".into(),
        at(DOCUMENT, with(document(), &others, text)),
    );
    add(
        "document: Code".into(),
        at(DOCUMENT, with(document(), &["Code"], text)),
    );
    let mut refusal = document();
    refusal["Code"] = "Failed".into();
    let message = format!("no credentials, {text}; see {text}");
    add(
        "document: Message".into(),
        at(DOCUMENT, with(refusal, &["Message"], &message)),
    );
    add("document: text".into(), at(DOCUMENT, ok(text)));

    let fields = ["instanceId", "instanceType", "availabilityZone", "region"];
    add(
        "identity".into(),
        at(IDENTITY, with(identity(), &fields, text)),
    );
    add("identity: text".into(), at(IDENTITY, ok(text)));
    let region: Answers = {
        let text = text.to_owned();
        Arc::new(move |path| match path {
            IDENTITY => response("404 Not Found", "", &text),
            "/latest/meta-data/placement/region" | "/latest/meta-data" => ok(&text),
            _ => usual(path),
        })
    };
    add("region and root".into(), region);
    cases
}

/// Fails if a text that is shown has a mark or a command to a terminal.
fn check(case: &str, arguments: &[&str], shown: &[u8]) {
    let text = std::str::from_utf8(shown).unwrap();
    for mark in MARKS {
        assert!(
            !text.contains(mark),
            "{case}, {arguments:?}: {mark} in {text}"
        );
    }
    // Of a session token, no part may be shown either.
    assert!(
        !text.contains(&TOKEN[..12]),
        "{case}, {arguments:?}: {text}"
    );
    let command = |letter: char| {
        (letter.is_control() && !matches!(letter, '\n' | '\t')) || letter == '\u{202e}'
    };
    if let Some(letter) = text.chars().find(|letter| command(*letter)) {
        panic!("{case}, {arguments:?}: {letter:?} in {text:?}");
    }
}

const FAST: [&str; 6] = ["--attempts", "1", "--timeout", "0.5", "--log", "trace"];

fn run(url: &str, arguments: &[&str]) -> Output {
    let (subcommand, rest) = arguments.split_first().unwrap();
    let arguments = [&[*subcommand, "--endpoint", url], &FAST[..], rest].concat();
    command(&arguments).output().unwrap()
}

/// The first line of `watch`, and the log until then.
fn watch(url: &str, arguments: &[&str]) -> Vec<u8> {
    let arguments = [&["watch", "--endpoint", url], &FAST[..], arguments].concat();
    let mut child = command(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = lines(child.stdout.take().unwrap());
    let stderr = lines(child.stderr.take().unwrap());
    let mut shown = stdout.recv_timeout(Duration::from_secs(60)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    for line in stdout.iter().chain(stderr.iter()) {
        shown.push('\n');
        shown.push_str(&line);
    }
    shown.into_bytes()
}

/// Runs the cases on a few threads.
fn each_case(examine: impl Fn(&str, &str) + Sync) {
    let cases: Vec<_> = [
        ("secret", SECRET.to_owned()),
        ("commands", format!("{COMMANDS}{SECRET}\u{7}")),
    ]
    .into_iter()
    .flat_map(|(kind, text)| {
        let named = move |(name, answers)| (format!("{kind} in {name}"), answers);
        cases(&text).into_iter().map(named)
    })
    .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, answers)) =
                    cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    examine(name, &serve(Arc::clone(answers)));
                }
            });
        }
    });
}

#[test]
fn neither_get_nor_doctor_shows_what_a_server_should_not_have_sent() {
    each_case(|case, url| {
        for arguments in [&["get"][..], &["doctor"]] {
            let output = run(url, arguments);
            check(case, arguments, &output.stdout);
            check(case, arguments, &output.stderr);
            // Whatever came, the log was written.
            assert!(!output.stderr.is_empty());
        }
    });
}

#[test]
fn watch_does_not_show_what_a_server_should_not_have_sent() {
    each_case(|case, url| {
        check(case, &["watch", "--json"], &watch(url, &["--json"]));
    });
}

/// What `serve` shows by itself, and what it answers to a client if there are no credentials.
fn serve_and_ask(url: &str) -> Vec<u8> {
    let mut child = command(&[&["serve", "--endpoint", url], &FAST[..]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = lines(child.stdout.take().unwrap());
    let stderr = lines(child.stderr.take().unwrap());
    let mut shown = String::new();
    let mut value = |name: &str| loop {
        let line = stdout.recv_timeout(Duration::from_secs(60)).unwrap();
        shown += &format!("{line}\n");
        if let Some(value) = line.strip_prefix(&format!("export {name}=")) {
            return value.to_owned();
        }
    };
    let uri = value("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let token = value("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    for token in [None, Some(&*token)] {
        let answer = request("GET", &uri, token);
        // Clients show what is not a document.
        if answer.status != 200 {
            shown += &answer.body;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in stdout.iter().chain(stderr.iter()) {
        shown.push('\n');
        shown.push_str(&line);
    }
    shown.into_bytes()
}

#[test]
fn serve_does_not_show_what_a_server_should_not_have_sent() {
    each_case(|case, url| check(case, &["serve"], &serve_and_ask(url)));
}

#[test]
fn serve_hands_the_secrets_to_its_command_alone() {
    let url = serve(Arc::new(usual));
    let arguments = ["serve", "--", "sh", "-c", "env; echo $0 $@"];
    let output = run(&url, &arguments);
    check("usual", &arguments, &output.stdout);
    check("usual", &arguments, &output.stderr);
}

#[test]
fn inspect_does_not_show_what_is_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("component.wasm");
    let text = format!("{COMMANDS}{SECRET}{TOKEN}");
    let string = |text: &str| text.escape_debug().to_string();
    let component = |name: &str| wat::parse_str(format!("(component (import \"{name}\" (func)))"));
    let mut contents = vec![
        text.clone().into_bytes(),
        format!("\0asm{text}").into_bytes(),
        format!("\0asm\u{1}\0\0\0{text}").into_bytes(),
        format!("\0asm\r\0\u{1}\0{text}").into_bytes(),
        // A custom section, which says nothing.
        [
            b"\0asm\r\0\x01\0\0".as_slice(),
            &[u8::try_from(text.len() + 2).unwrap(), 1, b'x'],
            text.as_bytes(),
        ]
        .concat(),
    ];
    for name in ["url=<https://example.org/{}>", "{}", "locked-dep=<a:{}>"] {
        contents.extend(component(&name.replace("{}", &string(COMMANDS))));
    }
    for content in contents {
        std::fs::write(&file, &content).unwrap();
        let arguments = ["inspect", "--component", file.to_str().unwrap()];
        let json = [&arguments[..], &["--json"]].concat();
        let get = [&["get"], &FAST[..], &arguments[1..]].concat();
        for arguments in [&arguments[..], &json, &get] {
            let output = command(arguments).output().unwrap();
            assert!(!(output.stdout.is_empty() && output.stderr.is_empty()));
            check(
                &content.escape_ascii().to_string(),
                arguments,
                &output.stdout,
            );
            check(
                &content.escape_ascii().to_string(),
                arguments,
                &output.stderr,
            );
        }
    }
}

#[test]
fn the_other_commands_do_not_show_it_either() {
    let usual = serve(Arc::new(usual));
    let leak = serve(at(LIST, ok(&document().to_string())));
    let refusal = json!({ "Code": COMMANDS, "Message": format!("{COMMANDS} {SECRET}") });
    let refusal = serve(at(DOCUMENT, ok(&refusal.to_string())));
    let id = serve(at(
        DOCUMENT,
        with(document(), &["AccessKeyId", "AccountId"], SECRET),
    ));
    for (case, url) in [
        ("usual", &usual),
        ("leak", &leak),
        ("refusal", &refusal),
        ("ID", &id),
    ] {
        check(case, &["watch"], &watch(url, &[]));
        for format in [
            "json",
            "env",
            "powershell",
            "windows-cmd",
            "fish",
            "process",
        ] {
            let arguments = ["get", "--format", format];
            check(case, &arguments, &run(url, &arguments).stderr);
        }
        for arguments in [
            &["get", "--show-secrets"][..],
            &["process"],
            &["metadata", "iam/security-credentials/"],
            &["metadata", "iam/security-credentials/role"],
            &["metadata", "dynamic/instance-identity/document"],
            &["metadata", "user-data"],
        ] {
            check(case, arguments, &run(url, arguments).stderr);
        }
        let exec = ["exec", "--", "true"];
        let output = run(url, &exec);
        check(case, &exec, &output.stdout);
        check(case, &exec, &output.stderr);
    }
}

#[test]
fn what_is_shown_is_what_was_sent_if_it_is_as_it_should_be() {
    let url = serve(Arc::new(usual));
    let doctor = run(&url, &["doctor"]);
    let text = std::str::from_utf8(&doctor.stdout).unwrap();
    for shown in [
        "i-0123456789abcdef0, t3.micro, eu-central-1a",
        "ok    role           role",
        "ASIAIOSFODNN7EXAMPLE",
    ] {
        assert!(text.contains(shown), "{text}");
    }
    let refusal = json!({
        "Code": "AssumeRoleUnauthorizedAccess",
        "Message": format!("EC2 cannot assume the role {COMMANDS} {SECRET}."),
    });
    let url = serve(at(DOCUMENT, ok(&refusal.to_string())));
    let get = run(&url, &["get"]);
    let text = std::str::from_utf8(&get.stderr).unwrap();
    assert!(text.contains("EC2 cannot assume the role "), "{text}");
    assert!(text.contains("(AssumeRoleUnauthorizedAccess)"), "{text}");
}
