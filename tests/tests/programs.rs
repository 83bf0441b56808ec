//! The atlas of programs: its files, and how a program is measured. The programs here are scripts
//! that need no installation.

#![expect(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

use std::path::Path;

use imds_conformance::programs::{
    Atlas, Installed, MeasureError, Measured, NotMeasured, Program, Speaks, built_in, chart,
    folder, markdown, measure, page, parse,
};
use tokio::sync::Semaphore;

#[test]
fn every_file_describes_a_program() {
    let programs = built_in().unwrap();
    assert!(!programs.is_empty());
    let read = folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")).unwrap();
    let names = |programs: &[Program]| -> Vec<_> {
        programs
            .iter()
            .map(|program| program.name.clone())
            .collect()
    };
    assert_eq!(names(&programs), names(&read));
}

#[test]
fn a_file_that_describes_no_program_is_refused_with_the_reason() {
    let file = Path::new("folder/tool.toml");
    let good = text("true");
    assert_eq!(parse(file, &good).unwrap().name, "tool");
    for (from, to, reason) in [
        (
            "pypi = [\"none==1\"]",
            "",
            "`install` is empty; name a package",
        ),
        (
            "\"/latest",
            "\"latest",
            "`use.asks` is \"latest/meta-data/instance-id\"; a path begins",
        ),
        (
            "\"compiled in\"",
            "\"guessed\"",
            "unknown variant `guessed`",
        ),
        ("script", "scripts", "unknown field `scripts`"),
        (
            "script = ",
            "limit = 0\nscript = ",
            "`use.limit` is 0; the script needs at least 1 second",
        ),
    ] {
        let error = parse(file, &good.replace(from, to))
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.starts_with("folder/tool.toml: "), "{error}");
    }
}

fn text(script: &str) -> String {
    format!(
        "about = \"a script\"\nlanguage = \"shell\"\nkind = \"library\"\n\
         [install]\npypi = [\"none==1\"]\n\
         [use]\nfinds = \"compiled in\"\nasks = \"/latest/meta-data/instance-id\"\nscript = '''{script}'''\n"
    )
}

/// Measures a script as if it were a program that is installed. `None` where namespaces are
/// forbidden, which is said.
async fn measured(script: &str) -> Option<Result<Measured, MeasureError>> {
    measured_as(&text(script)).await
}

async fn measured_as(text: &str) -> Option<Result<Measured, MeasureError>> {
    let root = tempfile::tempdir().unwrap();
    let program: Program = parse(Path::new("script.toml"), text).unwrap();
    let installed = Installed {
        root: root.path().to_owned(),
        packages: vec!["none==1".into()],
    };
    let measured = measure(&program, &installed, &Semaphore::new(4)).await;
    if let Err(MeasureError::Isolation(error)) = &measured {
        eprintln!("not run, because namespaces are forbidden: {error}");
        return None;
    }
    Some(measured)
}

const IMDSV2: &str = "
token=$(curl -sf -m 1 -X PUT -H \"X-aws-ec2-metadata-token-ttl-seconds: 60\" http://169.254.169.254/latest/api/token)
if [ -n \"$token\" ]; then
    curl -sf -m 1 -A imdsv2 -H \"X-aws-ec2-metadata-token: $token\" http://169.254.169.254/latest/meta-data/instance-id
    exit
fi
";
const IMDSV1: &str = "curl -sf -m 1 -A imdsv1 http://169.254.169.254/latest/meta-data/instance-id";

#[tokio::test]
async fn a_program_that_falls_back_is_told_from_one_that_does_not() {
    let Some(strict) = measured(IMDSV2).await else {
        return;
    };
    let strict = strict.unwrap();
    assert_eq!(strict.speaks, Speaks::V2);
    assert_eq!(strict.cold.first, "PUT /latest/api/token");
    assert_eq!(strict.cold.paths, ["/latest/meta-data/instance-id"]);
    assert_eq!((strict.cold.requests, strict.cold.token_requests), (2, 1));
    assert_eq!(strict.cold.token_lifetimes, [60].into());
    assert_eq!(strict.cold.connections, 2);
    // Each connection takes at least SYN, acknowledgement, request and FIN.
    assert!(
        (8..=14).contains(&strict.cold.packets),
        "{}",
        strict.cold.packets
    );
    assert!(!strict.token_refused.succeeded && !strict.hop_limit.succeeded);
    assert_eq!(strict.token_refused.without_token, 0);

    let lax = measured(&format!("{IMDSV2}\n{IMDSV1}"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(lax.speaks, Speaks::FallsBack);
    for reaction in [lax.token_refused, lax.hop_limit] {
        assert!(
            reaction.succeeded && reaction.without_token == 1,
            "{reaction:?}"
        );
    }
    // The token is awaited for a second, and so is the connection to an address that is silent.
    assert!(lax.hop_limit.milliseconds.unwrap() >= 1_000);
    assert!(lax.silent.milliseconds.unwrap() >= 2_000);
    for at_once in [&lax.refused, &lax.unreachable] {
        assert!(at_once.milliseconds.unwrap() < lax.silent.milliseconds.unwrap());
    }

    let old = measured(IMDSV1).await.unwrap().unwrap();
    assert_eq!(old.speaks, Speaks::V1);
    assert_eq!(old.cold.user_agents, ["imdsv1"]);

    let mut atlas = Atlas::default();
    for (name, mut measured) in [("strict", strict), ("lax", lax), ("old", old)] {
        measured.name = name.into();
        measured.packages = vec![format!("{name}==1")];
        for failed in [name, "gone"] {
            atlas.put_failure(NotMeasured {
                name: failed.into(),
                about: measured.about.clone(),
                at: measured.at,
                why: "it was not there\nat all".into(),
            });
        }
        atlas.put(measured.clone());
        atlas.put(measured);
    }
    assert_eq!((atlas.programs.len(), atlas.not_measured.len()), (3, 1));
    let table = markdown(&atlas);
    for line in [
        "1 speak IMDSv2 only, 1 fall back to IMDSv1, 0 use both versions, and 1 speak IMDSv1 only.",
        "| [old](../programs/old.toml) | 1 | `meta-data/instance-id` |",
        "| [strict](../programs/strict.toml) | 2 | 1 | 2 | ",
        "| [lax](../programs/lax.toml) | IMDSv1, ",
        "| lifetime | programs |\n| --- | --- |\n| 60 s | 2 |\n",
        "| [lax](../programs/lax.toml) | 1 | 60 s | fails |\n",
        "| finds IMDS | programs |\n| --- | --- |\n| compiled in | 3 |\n",
        "| [old](../programs/old.toml) | 1 | shell | compiled in |\n",
        "| [gone](../programs/gone.toml) | ",
        " | it was not there |\n",
    ] {
        assert!(table.contains(line), "{line}:\n{table}");
    }
    for line in table.lines().filter(|line| !line.starts_with('|')) {
        assert!(line.chars().count() <= 100 || !line.contains(' '), "{line}");
    }
    assert!(page(&atlas).contains("<h2>old 1</h2>"));
    let text = imds_conformance::programs::text(&atlas);
    for line in [
        "old 1: IMDSv1 only\n  finds IMDS               compiled in\n",
        "\n  a cold use               2 requests, 1 of them for tokens, on 2 connections, ",
        "\n  paths                    /latest/meta-data/instance-id\n\nstrict 1: IMDSv2\n",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    for text in [
        "IMDSv1 only",
        "still running when stopped",
        "<title>3 programs: ",
    ] {
        assert!(chart(&atlas).contains(text), "{text}");
    }
}

#[tokio::test]
async fn a_request_for_another_cloud_is_no_request_of_imdsv1() {
    let azure = "curl -s -m 1 -H 'Metadata: true' http://169.254.169.254/metadata/instance";
    let Some(careful) = measured(&format!("{azure}\n{IMDSV2}")).await else {
        return;
    };
    let careful = careful.unwrap();
    assert_eq!(careful.speaks, Speaks::V2);
    assert_eq!(
        (careful.cold.requests, careful.token_refused.without_token),
        (3, 0)
    );
}

#[tokio::test]
async fn a_program_that_does_not_do_what_its_file_says_is_an_error() {
    let Some(other) = measured("curl -s -m 1 http://169.254.169.254/latest/").await else {
        return;
    };
    let error = other.unwrap_err().to_string();
    for part in [
        "it did not get /latest/meta-data/instance-id",
        "GET /latest/ 200",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

/// A script that requests credentials: `get TOKEN` prints them, and fails unless the status is 200.
const CREDENTIALS: &str = "
url=http://169.254.169.254/latest
role=$url/meta-data/iam/security-credentials/app
token() { curl -sf --connect-timeout 1 -m 5 -X PUT -H \"X-aws-ec2-metadata-token-ttl-seconds: 60\" $url/api/token; }
get() { curl -sf --connect-timeout 1 -m 5 -H \"X-aws-ec2-metadata-token: $1\" $role; }
";

fn text_of_credentials(script: &str, more: &str) -> String {
    let text = text(&format!("{CREDENTIALS}{script}"));
    text.replace("instance-id", "iam/security-credentials/app") + more
}

#[tokio::test]
async fn the_use_of_credentials_that_expired_is_told_from_their_refusal() {
    let careless = "token=$(token) && get $token";
    let Some(careless) = measured_as(&text_of_credentials(careless, "")).await else {
        return;
    };
    let careless = careless.unwrap();
    let expired = careless.credentials_expired.unwrap();
    assert_eq!((expired.asked, expired.went_on), (1, Some(true)));
    assert_eq!(careless.credentials_expire_soon.unwrap().asked, 1);
    assert_eq!(careless.credentials_rotated.unwrap().asked, 1);
    let revoked = careless.token_revoked.unwrap();
    assert_eq!((revoked.rejected, revoked.succeeded), (1, false));

    // It never succeeds, because its service is not there. It requests a new token, looks at the
    // expiration, and keeps credentials on disk.
    let careful = r#"
[ ! -f $HOME/kept ] || exit 1
token=$(token)
credentials=$(get $token) || { token=$(token); credentials=$(get $token); }
expires=$(date -d $(echo "$credentials" | sed -n 's/.*"Expiration" : "\([^"]*\)".*/\1/p') +%s)
[ $expires -gt $(($(date +%s) + 300)) ] || credentials=$(get $token)
[ $expires -gt $(date +%s) ] || exit 1
touch $HOME/kept
curl -sf http://127.0.0.1:9
"#;
    let careful = text_of_credentials(careful, "succeeds = false\n");
    let careful = measured_as(&careful).await.unwrap().unwrap();
    let expired = careful.credentials_expired.unwrap();
    assert_eq!((expired.asked, expired.went_on), (2, Some(false)));
    let soon = careful.credentials_expire_soon.unwrap();
    assert_eq!((soon.asked, soon.went_on), (2, Some(true)));
    assert_eq!(careful.credentials_rotated.unwrap().requests, 0);
    let revoked = careful.token_revoked.unwrap();
    assert_eq!((revoked.token_requests, revoked.went_on), (2, Some(true)));

    let mut atlas = Atlas::default();
    for (name, mut measured) in [("careless", careless), ("careful", careful)] {
        measured.name = name.into();
        atlas.put(measured);
    }
    let table = markdown(&atlas);
    for line in [
        "| expired | programs |\n| --- | --- |\n| asks again, then fails | 1 |\n| uses them | 1 |\n",
        "| [careless](../programs/careless.toml) | uses them | uses them | asks again |\n",
        "| [careful](../programs/careful.toml) | asks again, then fails | asks again | keeps the old ones |\n",
        "| [careful](../programs/careful.toml) | 1 | 60 s | requests a new token |\n",
    ] {
        assert!(table.contains(line), "{line}:\n{table}");
    }
}

#[tokio::test]
async fn a_second_use_in_one_process_meets_a_revoked_token_and_new_credentials() {
    let more = format!(
        "again = '''{CREDENTIALS}
token=$(token)
first=$(get $token)
echo again
read line
second=$(get $token) || {{ token=$(token); second=$(get $token); }}
echo $second
[ \"$first\" != \"$second\" ]
'''\n"
    );
    let script = "token=$(token) && get $token";
    let Some(twice) = measured_as(&text_of_credentials(script, &more)).await else {
        return;
    };
    let again = twice.unwrap().again.unwrap();
    assert_eq!((again.requests, again.rejected), (3, 1));
    assert_eq!((again.token_requests, again.asked), (1, 2));
    assert_eq!(again.went_on, Some(true));

    let other = more.replace("echo again", "exit 1");
    let error = measured_as(&text_of_credentials(script, &other)).await;
    let error = error.unwrap().unwrap_err().to_string();
    assert!(
        error.contains("did not write the line \"again\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_is_stopped_at_its_limit_and_has_no_time() {
    let server = "token=$(token) && get $token\ncurl -sf http://127.0.0.1:9\nsleep 60";
    let text = text_of_credentials(server, "succeeds = false\nlimit = 6\n");
    let Some(server) = measured_as(&text).await else {
        return;
    };
    let server = server.unwrap();
    assert_eq!((server.limit, server.cold.milliseconds), (6, None));
    let expired = server.credentials_expired.unwrap();
    // It connected to its service before it was stopped.
    assert_eq!((expired.milliseconds, expired.went_on), (None, Some(true)));
    let mut atlas = Atlas::default();
    atlas.put(server);
    let table = markdown(&atlas);
    let stopped = "| [script](../programs/script.toml) | stopped after 6 s | stopped after 6 s | stopped after 6 s |";
    for line in [stopped, "| uses them | 1 |"] {
        assert!(table.contains(line), "{line}:\n{table}");
    }
    assert!(imds_conformance::programs::text(&atlas).contains(" packets, stopped after 6 s\n"));
}

#[test]
fn programs_that_are_slow_however_they_are_off_ec2_come_first() {
    let mut atlas = real();
    let rows = |atlas: &Atlas| {
        let table = markdown(atlas);
        let (_, table) = table.split_once("| program | refused |").unwrap();
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rows(&atlas).len(), atlas.programs.len());
    let last = atlas.programs.last_mut().unwrap();
    let name = last.name.clone();
    // Only a closed port makes it slow.
    last.refused.milliseconds = Some(1_000_000);
    last.unreachable.milliseconds = Some(100);
    last.silent.milliseconds = Some(100);
    let first = rows(&atlas).remove(0);
    assert!(
        first.contains(&format!("[{name}]")) && first.contains("| 1000.0 s | 0.1 s | 0.1 s |"),
        "{first}"
    );
}

#[test]
fn the_version_of_a_program_in_a_package_of_another_name_is_its_own() {
    let mut atlas = real();
    atlas.programs.truncate(1);
    let program = atlas.programs.first_mut().unwrap();
    program.name = "inner".into();
    program.packages = vec!["outer==1".into()];
    program.version = Some("3 (outer 1)".into());
    assert!(markdown(&atlas).contains("| [inner](../programs/inner.toml) | 3 (outer 1) |"));
    assert!(page(&atlas).contains("<h2>inner 3 (outer 1)</h2>"));
}

#[test]
fn only_the_fields_that_differ_are_named() {
    let atlas = real();
    let expected = atlas
        .programs
        .iter()
        .find(|program| program.token_revoked.is_some());
    let expected = expected.unwrap();
    assert_eq!(expected.differences(expected), Vec::<String>::new());
    let mut seen = expected.clone();
    // Two packets more on each connection are noise.
    seen.cold.packets += 2 * expected.cold.connections;
    seen.silent.milliseconds = Some(1 + expected.silent.milliseconds.unwrap());
    assert_eq!(seen.differences(expected), Vec::<String>::new());
    seen.cold.packets += 1;
    seen.cold.connections += 1;
    seen.silent.milliseconds = None;
    seen.token_revoked = None;
    assert_eq!(
        seen.differences(expected),
        [
            format!(
                "connections: expected {}, saw {}",
                expected.cold.connections, seen.cold.connections
            ),
            format!(
                "packets: expected {}, saw {}",
                expected.cold.packets, seen.cold.packets
            ),
            "silent, ends by itself: expected \"yes\", saw \"no\"".to_owned(),
            "token revoked, applies: expected \"yes\", saw \"no\"".to_owned(),
        ]
    );
}

/// The measurements of the atlas.
fn real() -> Atlas {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/programs.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn only_other_packages_are_measured_again() {
    let mut program = parse(Path::new("tool.toml"), &text("true")).unwrap();
    program.install.debian = vec!["curl".into()];
    let gave = |packages: &[&str]| {
        let packages: Vec<String> = packages.iter().map(|name| (*name).into()).collect();
        program.install.gave(&packages)
    };
    assert!(gave(&["none==1", "curl 7.88"]));
    assert!(!gave(&["none==2", "curl 7.88"]));
    assert!(!gave(&["none==1"]));
    assert!(!gave(&["none==1", "wget 1.21"]));
    assert!(!gave(&["none==1", "curl 7.88", "wget 1.21"]));
}

#[test]
fn the_page_and_the_picture_are_those_of_the_measurements() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let read = |name: &str| std::fs::read_to_string(docs.join(name)).unwrap();
    let atlas: Atlas = serde_json::from_str(&read("programs.json")).unwrap();
    for (name, text) in [
        ("programs.md", markdown(&atlas)),
        ("programs.svg", chart(&atlas)),
    ] {
        assert!(
            read(name) == text,
            "{name} is not up to date; `imds-conformance programs --all` writes it"
        );
    }
}
