//! `mutants.toml` speaks of code that there is. Whether it is right about it, `mutants.sh` finds out, which takes longer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explained {
    mutant: Vec<Mutant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    file: String,
    mutant: String,
    line: String,
    why: String,
}

impl Mutant {
    /// The name of the function that it is in, without that of the type; constants are in none.
    fn function(&self) -> Option<&str> {
        let whole = match self.mutant.rsplit_once(" in ") {
            Some((_, function)) => function,
            // What replaces the whole body.
            None => self
                .mutant
                .strip_prefix("replace ")?
                .split_once(" with ")?
                .0
                .split(" -> ")
                .next()?,
        };
        let name = whole.rsplit("::").next()?;
        name.starts_with(|first: char| first.is_alphabetic() || first == '_')
            .then_some(name)
    }
}

#[test]
fn every_mutant_that_is_explained_is_of_code_that_is_there()
-> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("tests/mutants.toml"))?;
    let explained: Explained = toml::from_str(&text)?;
    let mut seen = BTreeSet::new();
    for mutant in &explained.mutant {
        let Mutant {
            file,
            mutant: words,
            line,
            why,
        } = mutant;
        let source =
            fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
        assert!(
            source.lines().any(|other| other.trim() == line),
            "{file} has no line {line}"
        );
        if let Some(function) = mutant.function() {
            let is_there = ["(", "<"]
                .iter()
                .any(|after| source.contains(&format!("fn {function}{after}")));
            assert!(is_there, "{file} has no function {function}");
        }
        assert!(
            why.split_whitespace().count() > 3 && why.ends_with('.'),
            "{file}: {words}: no reason"
        );
        assert!(
            seen.insert((file, words, line)),
            "{file}: {words}: it is there twice"
        );
    }
    Ok(())
}

#[test]
fn the_function_is_read_from_the_words() {
    for (words, function) in [
        ("replace < with <= in Cache::get", Some("get")),
        (
            "replace of_status -> Reason with Default::default()",
            Some("of_status"),
        ),
        ("replace Secret::new with ()", Some("new")),
        (
            "replace <impl Visitor<'de> for Field>::visit_unit -> Result<Self::Value, E> with Ok(())",
            Some("visit_unit"),
        ),
        ("replace * with +", None),
    ] {
        let mutant = Mutant {
            file: String::new(),
            mutant: words.to_owned(),
            line: String::new(),
            why: String::new(),
        };
        assert_eq!(mutant.function(), function, "{words}");
    }
}
