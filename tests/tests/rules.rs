//! The rule books, `component/docs/rules.toml` and `emulator/docs/rules.toml`: their pages, and who
//! cites them.
//!
//! Code and prose cite a rule as `[B2.5]`; what a scenario or a check of servers rests on names it
//! as `"B2.5"`. In a doc comment a citation is in backticks, because rustdoc takes `[I35]` for a link.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use imds_conformance::scenario::built_in;
use imds_conformance::server::checks;

#[path = "../../xtask/src/rules.rs"]
mod rules;

use rules::{Book, books};

/// Files that may cite a rule.
const ENDINGS: [&str; 10] = [
    "go", "js", "md", "mjs", "py", "rs", "sh", "toml", "wit", "yml",
];

/// Directories of what others wrote or what tools print.
const SKIPPED: [&str; 5] = ["corpus", "deps", "golden", "node_modules", "target"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A citation: the id, and where it is.
#[derive(Debug, PartialEq)]
struct Citation {
    id: String,
    place: String,
    /// Whether rustdoc takes it for a link.
    is_link: bool,
}

/// What looks like the id of a rule: a letter, and numbers with dots between them.
fn is_id(text: &str) -> bool {
    let numbers = text.strip_prefix(['B', 'I']);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|numbers| numbers.split('.').all(is_number))
}

/// The citations in the text of a file.
fn citations(name: &str, text: &str) -> Vec<Citation> {
    let mut found = Vec::new();
    for (at, line) in (1..).zip(text.lines()) {
        let comment = line.trim_start();
        let is_doc = comment.starts_with("///") || comment.starts_with("//!");
        for (start, _) in line.match_indices('[') {
            let rest = &line[start + 1..];
            let Some((id, after)) = rest.split_once(']').filter(|(id, _)| is_id(id)) else {
                continue;
            };
            let is_code = line[..start].ends_with('`') && after.starts_with('`');
            found.push(Citation {
                id: id.into(),
                place: format!("{name}:{at}"),
                is_link: is_doc && !is_code && !id.contains('.'),
            });
        }
    }
    found
}

/// What all files of a directory cite, but for the books and their pages.
fn collect(directory: &Path, books: &[Book], found: &mut Vec<Citation>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_book =
            |book: &Book| path == book.page || path == book.page.with_file_name("rules.toml");
        if name.starts_with('.') || SKIPPED.contains(&name) || books.iter().any(is_book) {
            continue;
        }
        if path.is_dir() {
            collect(&path, books, found);
        } else if path
            .extension()
            .is_some_and(|ending| ENDINGS.iter().any(|it| ending == *it))
        {
            let name = path
                .strip_prefix(workspace())
                .unwrap()
                .display()
                .to_string();
            // Its examples are not rules.
            if name != "tests/tests/rules.rs" {
                found.extend(citations(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
}

/// What scenarios and checks of servers rest on.
fn collect_data(found: &mut Vec<Citation>) {
    let scenarios = built_in().unwrap();
    let scenarios = scenarios.iter().flat_map(|scenario| {
        let sources = scenario.rests_on().iter();
        sources.map(|source| (scenario.id.clone(), source.clone()))
    });
    let checks = checks().into_iter().flat_map(|check| {
        let sources = check.rests_on.iter();
        sources.map(move |source| (check.name.to_owned(), (*source).to_owned()))
    });
    for (place, source) in scenarios.chain(checks) {
        let number = source
            .strip_prefix("IMDS ")
            .or(source.strip_prefix("behaviour "));
        assert!(
            number.is_none(),
            "{place} rests on {source:?}: name the rule by its id, such as B2.5"
        );
        if is_id(&source) {
            found.push(Citation {
                id: source,
                place,
                is_link: false,
            });
        }
    }
}

/// What is wrong with the citations.
fn complaints(books: &[Book], citations: &[Citation]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for citation in citations {
        places
            .entry(&citation.id)
            .or_default()
            .push(&citation.place);
    }
    let mut complaints = Vec::new();
    for citation in citations.iter().filter(|citation| citation.is_link) {
        let Citation { id, place, .. } = citation;
        complaints.push(format!(
            "{place}: write `[{id}]`, in backticks, in a doc comment"
        ));
    }
    for rule in books.iter().flat_map(Book::rules) {
        let cited = places.remove(rule.id.as_str());
        match (cited, &rule.not_cited) {
            (Some(places), Some(_)) => complaints.push(format!(
                "{} is `not-cited`, and {} cites it",
                rule.id, places[0]
            )),
            (None, None) if rule.not_emulated.is_none() => complaints.push(format!(
                "nothing cites {}: cite it, or give the reason in `not-cited`",
                rule.id
            )),
            _ => {}
        }
    }
    for (id, places) in places {
        complaints.push(format!("{}: {id} is not a rule", places.join(", ")));
    }
    complaints
}

#[test]
fn pages_say_what_the_books_say() {
    for book in books(workspace()).unwrap() {
        let page = fs::read_to_string(&book.page).unwrap();
        assert!(
            page == book.print(),
            "{} differs from its rules.toml: run `cargo xtask rules`",
            book.page.display()
        );
    }
}

#[test]
fn every_citation_is_of_a_rule_and_every_rule_is_cited() {
    let books = books(workspace()).unwrap();
    let mut found = Vec::new();
    collect(workspace(), &books, &mut found);
    collect_data(&mut found);
    let complaints = complaints(&books, &found);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn citations_are_found_in_comments_and_in_prose() {
    let text = "/// One `[I35]`, [B2.5] and [I36].\n// [B2.5] [I7]: x[I], [B2.], [I1.x]\n";
    let citation = |id: &str, line: u32, is_link| Citation {
        id: id.into(),
        place: format!("a.rs:{line}"),
        is_link,
    };
    assert_eq!(
        citations("a.rs", text),
        [
            citation("I35", 1, false),
            citation("B2.5", 1, false),
            citation("I36", 1, true),
            citation("B2.5", 2, false),
            citation("I7", 2, false),
        ]
    );
}

#[test]
fn a_citation_without_a_rule_and_a_rule_without_a_citation_are_found() {
    let books = books(workspace()).unwrap();
    let rules = books.iter().flat_map(Book::rules);
    let cited = rules.filter(|rule| rule.not_cited.is_none() && rule.id != "B2.5");
    let mut all: Vec<Citation> = cited
        .map(|rule| Citation {
            id: rule.id.clone(),
            place: "x.rs:1".into(),
            is_link: false,
        })
        .collect();
    assert_eq!(
        complaints(&books, &all),
        ["nothing cites B2.5: cite it, or give the reason in `not-cited`"]
    );
    all.extend(citations("y.rs", "// [B2.5]\n/// [I99]\n"));
    assert_eq!(
        complaints(&books, &all),
        [
            "y.rs:2: write `[I99]`, in backticks, in a doc comment",
            "y.rs:2: I99 is not a rule"
        ]
    );
}
