//! The targets of libFuzzer, run over their corpora and over what proptest makes of these.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use imds_conformance::fuzz::TARGETS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// One change to an input, as libFuzzer makes them.
#[derive(Clone, Debug)]
enum Change {
    /// Other bits at a place.
    Flip(Index, u8),
    /// The end is missing.
    Cut(Index),
    /// Bytes are missing.
    Remove(Index, Index),
    /// Bytes come twice, one after the other.
    Repeat(Index, Index),
    /// Bytes come in.
    Insert(Index, Vec<u8>),
    /// It goes on as another file of the corpus does.
    Splice(Index, Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    let bytes = prop_oneof![
        vec(any::<u8>(), 1..8),
        vec(
            prop::sample::select(&b"\0\n\r\t \"%'*+,-./09:;=?@[\\]_{}"[..]),
            1..4
        ),
        prop::sample::select(
            &[
                "null",
                "true",
                "-1",
                "1e999",
                "18446744073709551615",
                "\u{e9}",
                "\u{2028}"
            ][..]
        )
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (place(), 1_u8..).prop_map(|(at, bits)| Change::Flip(at, bits)),
        place().prop_map(Change::Cut),
        (place(), place()).prop_map(|(from, to)| Change::Remove(from, to)),
        (place(), place()).prop_map(|(from, to)| Change::Repeat(from, to)),
        (place(), bytes).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (place(), place(), place()).prop_map(|(other, from, to)| Change::Splice(other, from, to)),
    ]
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>, corpus: &[(PathBuf, Vec<u8>)]) {
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        let range = |from: &Index, to: &Index, bytes: &[u8]| {
            let (from, to) = (place(from, bytes), place(to, bytes));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Flip(at, bits) => {
                let at = place(at, bytes);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Self::Cut(at) => bytes.truncate(place(at, bytes)),
            Self::Remove(from, to) => {
                let range = range(from, to, bytes);
                bytes.drain(range);
            }
            Self::Repeat(from, to) => {
                let range = range(from, to, bytes);
                bytes.extend_from_within(range.clone());
                bytes[range.end..].rotate_right(range.len());
            }
            Self::Insert(at, new) => {
                let at = place(at, bytes);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Splice(other, from, to) => {
                let (_, other) = other.get(corpus);
                let (from, to) = (place(from, bytes), place(to, other));
                bytes.truncate(from);
                bytes.extend_from_slice(&other[to..]);
            }
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder().join("corpus").join(target)).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    files.into_iter().map(read).collect()
}

fn holds_for_the_corpus(target: &str, run: fn(&[u8])) {
    for (path, bytes) in corpus(target) {
        // The last one named is the one.
        println!("{}", path.display());
        run(&bytes);
    }
}

fn holds_for_what_becomes_of_the_corpus(target: &str, run: fn(&[u8]), cases: u32) {
    let corpus = corpus(target);
    let inputs = prop_oneof![
        1 => vec(any::<u8>(), 0..256),
        9 => (any::<Index>(), vec(change(), 1..6)).prop_map(|(seed, changes)| {
            let (_, mut bytes) = seed.get(&corpus).clone();
            for change in changes {
                change.make(&mut bytes, &corpus);
            }
            // The files are shorter than this.
            bytes.truncate(4096);
            bytes
        }),
    ];
    // What is found goes into the corpus, and not into a file beside this one.
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&inputs, |bytes| {
        run(&bytes);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Two tests for each target. Those that cost more, for there is a socket or a whole instance behind them, have
/// fewer cases.
macro_rules! targets {
    ($($target:ident: $cases:literal,)*) => {
        const TESTED: &[&str] = &[$(stringify!($target)),*];

        $(mod $target {
            use imds_conformance::fuzz;

            #[test]
            fn holds_for_the_corpus() {
                super::holds_for_the_corpus(stringify!($target), fuzz::$target);
            }

            #[test]
            fn holds_for_what_becomes_of_the_corpus() {
                super::holds_for_what_becomes_of_the_corpus(stringify!($target), fuzz::$target, $cases);
            }
        })*
    };
}

targets! {
    token: 2000,
    role_list: 2000,
    document: 1000,
    identity_document: 1000,
    iam_info: 2000,
    options: 2000,
    endpoint: 2000,
    host_settings: 2000,
    profile: 300,
    emulator_config: 300,
    emulator_settings: 300,
    rule: 500,
    admin: 300,
    http: 500,
    scenario: 1000,
    client_answers: 2000,
}

#[test]
fn every_target_is_run_by_libfuzzer_and_here_and_has_a_small_corpus() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        names,
        TESTED.iter().map(|name| (*name).to_owned()).collect()
    );
    let listed = |folder_name: &str, ending: &str| -> BTreeSet<String> {
        let files = fs::read_dir(folder().join(folder_name)).unwrap();
        let names = files
            .map(|file| file.unwrap().file_name())
            .map(OsString::into_string);
        names
            .map(|name| name.unwrap().trim_end_matches(ending).to_owned())
            .collect()
    };
    assert_eq!(names, listed("corpus", ""));
    assert_eq!(names, listed("fuzz_targets", ".rs"));
    let manifest: toml::Table = fs::read_to_string(folder().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let binaries = manifest["bin"].as_array().unwrap().iter();
    let binaries = binaries.map(|binary| binary["name"].as_str().unwrap().to_owned());
    assert_eq!(names, binaries.collect());
    for target in &names {
        let source =
            fs::read_to_string(folder().join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(
            source.contains(&format!("imds_conformance::fuzz::{target}(bytes)")),
            "{source}"
        );
        let corpus = corpus(target);
        assert!(
            (1..=30).contains(&corpus.len()),
            "{target}: {}",
            corpus.len()
        );
        for (path, bytes) in corpus {
            assert!(bytes.len() <= 4096, "{}", path.display());
        }
    }
}
