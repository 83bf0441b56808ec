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
        "**60 s**:\n\nlax 1, strict 1\n",
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
    for text in ["IMDSv1 only", "over 180 s", "<title>3 programs: "] {
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
        "**uses them** (1):\n\ncareless 1\n",
        "**asks again, then fails** (1):\n\ncareful 1\n",
        "**asks again** (1):\n\ncareful 1\n",
        "**keeps the old ones** (1):\n\ncareful 1\n",
        "**requests a new token** (1):\n\ncareful 1\n",
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
