//! `docs/paths.md`: what programs ask for is served, or its absence is explained.

use imds_emulator::LEAVES;

use crate::bench::{Bench, NOT_FOUND, OK, request, send_bytes};
use crate::full::FULL;

/// Names in [`FULL`] in place of those in angle brackets.
const NAMES: &[(&str, &str)] = &[
    ("<mac>", "0a:00:00:00:00:01"),
    ("<public-ip>", "203.0.113.5"),
    ("ebs<N>", "ebs1"),
    ("<N>", "0"),
    ("<role>", "worker"),
    ("<profile>", "profile"),
    ("<key>", "Name"),
    ("<user>", "ec2-user"),
    ("<certificate>", "FF"),
];

/// The paths in the first column of the tables between two texts of the page.
fn paths(page: &str, begin: &str, end: &str) -> Vec<String> {
    let (_, section) = page.split_once(begin).unwrap();
    let section = section
        .split_once(end)
        .map_or(section, |(section, _)| section);
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    let code = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    code.map(ToOwned::to_owned).collect()
}

fn filled(path: &str) -> String {
    let filled = NAMES.iter().fold(path.to_owned(), |path, (name, value)| {
        path.replace(name, value)
    });
    assert!(!filled.contains('<'), "{path}: a value for the name");
    filled
}

#[tokio::test]
async fn what_programs_ask_for_is_served_or_explained() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/paths.md");
    let page = std::fs::read_to_string(file).unwrap();
    let served = paths(
        &page,
        "## Credentials and identity",
        "## What is not served",
    );
    let explained = paths(&page, "## What is not served", "\nEC2 Instance Connect's");
    assert!(served.len() > 70, "{}", served.len());
    assert!(explained.len() > 10, "{}", explained.len());
    let known: Vec<_> = LEAVES.iter().map(|leaf| leaf.path()).collect();
    let bench = Bench::configured(FULL).await;
    for path in served {
        let is_known = known.iter().any(|leaf| match path.ends_with('/') {
            true => leaf.starts_with(&path),
            false => *leaf == path,
        });
        assert!(is_known, "{path}: not written as in the table of leaves");
        let response = response(&bench, &format!("/latest/{}", filled(&path))).await;
        assert!(response.starts_with(OK.as_bytes()), "{path}");
        assert!(!response.ends_with(b"\r\n\r\n"), "{path}: empty");
    }
    for path in explained {
        let response = response(&bench, &format!("/{}", filled(&path))).await;
        assert!(response.starts_with(NOT_FOUND.as_bytes()), "{path}");
    }
}

/// The bytes of the response: user data are not a text.
async fn response(bench: &Bench, path: &str) -> Vec<u8> {
    let token = bench.token("60").await.body;
    let head = format!("GET {path} HTTP/1.1\nX-aws-ec2-metadata-token: {token}");
    send_bytes(bench.imds.address(), request(&head).as_bytes()).await
}
