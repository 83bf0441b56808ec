//! The atlas of programs: its files, and how a program is measured. The programs here are scripts
//! that need no installation.

#![expect(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

use std::path::Path;

use imds_conformance::programs::{
    Atlas, Installed, MeasureError, Measured, Program, Speaks, folder, markdown, measure, page,
    parse,
};

#[test]
fn every_file_describes_a_program() {
    let programs = folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")).unwrap();
    assert!(!programs.is_empty());
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
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("home")).unwrap();
    let program: Program = parse(Path::new("script.toml"), &text(script)).unwrap();
    let installed = Installed {
        root: root.path().to_owned(),
        packages: vec!["none==1".into()],
    };
    let measured = measure(&program, &installed).await;
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
    assert!(lax.refused.milliseconds.unwrap() < 1_000);
    assert!(lax.unreachable.milliseconds.unwrap() < 1_000);

    let old = measured(IMDSV1).await.unwrap().unwrap();
    assert_eq!(old.speaks, Speaks::V1);
    assert_eq!(old.cold.user_agents, ["imdsv1"]);

    let mut atlas = Atlas::default();
    for (name, mut measured) in [("strict", strict), ("lax", lax), ("old", old)] {
        measured.name = name.into();
        measured.packages = vec![format!("{name}==1")];
        atlas.put(measured.clone());
        atlas.put(measured);
    }
    assert_eq!(atlas.programs.len(), 3);
    let table = markdown(&atlas);
    for line in [
        "| strict 1 | library | compiled in | IMDSv2 | 2 | 1 | 2 | ",
        " | 60 s | `PUT /latest/api/token` |",
        "## IMDSv1 only\n\nold 1\n",
        "## Falls back to IMDSv1\n\nlax 1\n",
    ] {
        assert!(table.contains(line), "{line}:\n{table}");
    }
    assert!(page(&atlas).contains("<h2>old 1</h2>"));
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
