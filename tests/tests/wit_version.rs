//! The WIT packages keep what their versions promise. `tests/golden/wit` has each version as it was released;
//! `docs/releasing.md` says how one is added.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use wit_component::semver_check;
use wit_parser::{PackageId, PackageName, Resolve, WorldId};

/// The WIT package of each version of WASI: its folder, and the folder of its released versions.
const PACKAGES: [(&str, &str); 2] = [
    ("wit", "tests/golden/wit"),
    ("wit/wasi-0-3", "tests/golden/wit/wasi-0-3"),
];

struct Package {
    resolve: Resolve,
    id: PackageId,
}

impl Package {
    fn of_text(text: &str) -> Self {
        let mut resolve = Resolve::default();
        let id = resolve.push_source("text.wit", text).unwrap();
        Self { resolve, id }
    }

    /// The package as it stands in a folder.
    fn in_folder(folder: &str) -> Self {
        let mut resolve = Resolve::default();
        let (id, _) = resolve.push_dir(workspace().join(folder)).unwrap();
        Self { resolve, id }
    }

    fn name(&self) -> &PackageName {
        &self.resolve.packages[self.id].name
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Kept,
    /// What users of the baseline cannot go on with, world by world.
    Broken(Vec<String>),
    /// The version has no baseline yet.
    New,
}

/// Versions that promise to be compatible: those with the same major version, or 0 and the same minor version.
/// Additions are allowed among them, of what this package gives to others and not of what it wants from them.
fn judge(baselines: &[String], new: &Package) -> Verdict {
    let track = |package: &Package| {
        PackageName::version_compat_track_string(package.name().version.as_ref().unwrap())
    };
    let mut broken = Vec::new();
    let mut known = false;
    for text in baselines {
        let baseline = Package::of_text(text);
        if track(&baseline) == track(new) {
            broken.extend(breaks(text, &baseline, new));
        }
        known |= baseline.name() == new.name();
        if baseline.name().version > new.name().version {
            broken.push(format!("{} comes after it", baseline.name()));
        }
    }
    match (broken.is_empty(), known) {
        (false, _) => Verdict::Broken(broken),
        (true, false) => Verdict::New,
        (true, true) => Verdict::Kept,
    }
}

fn breaks(text: &str, baseline: &Package, new: &Package) -> Vec<String> {
    // Both go into one `Resolve`, where they need different names.
    let name = baseline.name();
    let text = text.replacen(&format!("{name};"), &format!("{name}+baseline;"), 1);
    let old = Package::of_text(&text);
    let mut resolve = new.resolve.clone();
    let map = resolve.merge(old.resolve).unwrap();
    let old = map.packages[old.id.index()];

    let mut broken = Vec::new();
    for (name, &before) in &resolve.packages[old].worlds {
        let Some(&after) = resolve.packages[new.id].worlds.get(name) else {
            broken.push(format!("world {name}: it is gone"));
            continue;
        };
        // In a world without exports there are others, which were built against the old one and meet the new
        // one. In a world with exports it is this project's component that is new, and that meets a host of the old one.
        let (guest, host) = if resolve.worlds[before].exports.is_empty() {
            (before, after)
        } else {
            (after, before)
        };
        if let Err(error) = semver_check(resolve.clone(), guest, host) {
            broken.push(format!("world {name}: {}", error.root_cause()));
        }
        // That was without regard to the versions of other packages.
        let offered = imports(&resolve, host);
        for import in imports(&resolve, guest).difference(&offered) {
            broken.push(format!("world {name}: {import} is not there"));
        }
    }
    broken
}

/// The names of interfaces that a world imports, with as much of the version as must be the same.
fn imports(resolve: &Resolve, world: WorldId) -> BTreeSet<String> {
    let imports = resolve.worlds[world].imports.keys();
    imports
        .map(|key| resolve.name_canonicalized_world_key(key))
        .collect()
}

fn baselines(folder: &str) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(workspace().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let name = Package::of_text(&text).name().to_string();
            assert_eq!(
                file.file_stem().unwrap().to_str().unwrap(),
                name.replace([':', '@'], "-"),
                "{} has another version",
                file.display()
            );
            text
        })
        .collect()
}

#[test]
fn the_packages_keep_what_their_versions_promise() {
    for (folder, released) in PACKAGES {
        let current = Package::in_folder(folder);
        let name = current.name();
        match judge(&baselines(released), &current) {
            Verdict::Kept => {}
            Verdict::Broken(broken) => panic!(
                "{name} breaks users of a version that it is meant to be compatible with. Take the change back, or raise the \
                 version in {folder}/*.wit (before 1.0 the minor one):\n{}",
                broken.join("\n")
            ),
            Verdict::New => panic!(
                "{name} has no baseline. `cargo xtask wit {folder} > {released}/{}.wit` adds it",
                name.to_string().replace([':', '@'], "-")
            ),
        }
    }
}

const BASELINE: &str = include_str!("../golden/wit/imds-credentials-0.1.0.wit");

/// The verdict on the baseline with some text replaced.
fn edited(edits: &[(&str, &str)]) -> Verdict {
    let mut text = BASELINE.to_owned();
    for (old, new) in edits {
        assert!(text.contains(old), "{old} is not in the baseline");
        text = text.replacen(old, new, 1);
    }
    judge(&[BASELINE.to_owned()], &Package::of_text(&text))
}

const NEXT: (&str, &str) = ("imds:credentials@0.1.0;", "imds:credentials@0.2.0;");

/// What breaks users, as edits of the baseline.
const BREAKING: &[(&str, &[(&str, &str)])] = &[
    (
        "a function is gone",
        &[("  get-region: func() -> result<string, error>;\n", "")],
    ),
    (
        "a function is renamed",
        &[("  invalidate: func()", "  forget: func()")],
    ),
    (
        "a record has a new field",
        &[(
            "    source: string,\n",
            "    source: string,\n    more: string,\n",
        )],
    ),
    (
        "a record has lost a field",
        &[("    account-id: option<string>,\n", "")],
    ),
    (
        "a variant has a new case",
        &[("    other(string),\n", "    other(string),\n    more,\n")],
    ),
    (
        "an enum has a new case",
        &[("    no-role,\n", "    no-role,\n    more,\n")],
    ),
    (
        "the cases of an enum have another order",
        &[(
            "    token,\n    role-list,\n",
            "    role-list,\n    token,\n",
        )],
    ),
    (
        "a parameter has another type",
        &[(
            "reject: func(access-key-id: string)",
            "reject: func(access-key-id: u64)",
        )],
    ),
    (
        "a parameter has another name",
        &[(
            "reject: func(access-key-id: string)",
            "reject: func(id: string)",
        )],
    ),
    (
        "a function has a new parameter",
        &[("retrieve: func()", "retrieve: func(role: string)")],
    ),
    (
        "a function has another result",
        &[("-> result<list<u8>, error>", "-> result<string, error>")],
    ),
    (
        "a function is asynchronous",
        &[("retrieve: func()", "retrieve: async func()")],
    ),
    (
        "a name stands for another type",
        &[("type unix-seconds = u64", "type unix-seconds = s64")],
    ),
    (
        "a type is gone",
        &[
            ("  type seconds = u32;\n", ""),
            ("option<seconds>", "option<u32>"),
        ],
    ),
    (
        "the component wants one more interface",
        &[(
            "\n  export provider;\n",
            "\n  import metadata-client;\n  export provider;\n",
        )],
    ),
    (
        "the component wants one more function",
        &[(
            "-> result<list<u8>, client-error>;\n",
            "-> result<list<u8>, client-error>;\n  more: func();\n",
        )],
    ),
    (
        "the component wants another version of WASI",
        &[
            (
                "  import wasi:random/random@0.2.12;\n",
                "  import wasi:random/random@0.3.0;\n",
            ),
            (
                "  import wasi:random/random@0.2.12;\n",
                "  import wasi:random/random@0.3.0;\n",
            ),
            (
                "package wasi:random@0.2.12 {",
                "package wasi:random@0.3.0 {",
            ),
        ],
    ),
    (
        "the component gives one interface less",
        &[("  export metadata;\n", "")],
    ),
    (
        "consumers get one interface less",
        &[("  import metadata;\n", "")],
    ),
    ("a world is gone", &[("world imports {", "world others {")]),
    (
        "an interface is renamed",
        &[
            ("interface metadata-client {", "interface client {"),
            ("import metadata-client;", "import client;"),
        ],
    ),
];

#[test]
fn what_breaks_users_is_found() {
    for (what, edits) in BREAKING {
        match edited(edits) {
            Verdict::Broken(broken) => println!("{what}: {broken:#?}"),
            verdict => panic!("{what}: {verdict:?}"),
        }
    }
}

#[test]
fn a_new_version_may_break_users_and_asks_for_its_baseline() {
    for (what, edits) in BREAKING {
        let edits = [edits, &[NEXT][..]].concat();
        assert_eq!(edited(&edits), Verdict::New, "{what}");
    }
    // A version that promises to be compatible is not free to.
    let patch = ("imds:credentials@0.1.0;", "imds:credentials@0.1.1;");
    assert_eq!(edited(&[patch]), Verdict::New);
    assert!(matches!(
        edited(&[patch, ("  export metadata;\n", "")]),
        Verdict::Broken(_)
    ));
}

#[test]
fn what_breaks_nobody_is_let_through() {
    let compatible: &[(&str, &[(&str, &str)])] = &[
        ("nothing", &[]),
        (
            "a comment",
            &[("interface provider {", "/// Anew.\ninterface provider {")],
        ),
        (
            "a new function",
            &[(
                "  invalidate: func();\n",
                "  invalidate: func();\n  more: func() -> u32;\n",
            )],
        ),
        (
            "a new type",
            &[(
                "  type seconds = u32;\n",
                "  type seconds = u32;\n  type hours = u32;\n",
            )],
        ),
        (
            "a new interface that the component gives and consumers get",
            &[
                (
                    "interface metadata {",
                    "interface more { more: func(); }\ninterface metadata {",
                ),
                (
                    "  import metadata;\n",
                    "  import metadata;\n  import more;\n",
                ),
                (
                    "  export metadata;\n",
                    "  export metadata;\n  export more;\n",
                ),
            ],
        ),
        (
            "a new world",
            &[("world imports {", "world more {}\nworld imports {")],
        ),
        (
            "the component wants one interface less",
            &[("  import wasi:random/random@0.2.12;\n", "")],
        ),
        (
            "the component wants a compatible version of WASI",
            &[
                (
                    "  import wasi:random/random@0.2.12;\n",
                    "  import wasi:random/random@0.2.13;\n",
                ),
                (
                    "  import wasi:random/random@0.2.12;\n",
                    "  import wasi:random/random@0.2.13;\n",
                ),
                (
                    "package wasi:random@0.2.12 {",
                    "package wasi:random@0.2.13 {",
                ),
            ],
        ),
    ];
    for (what, edits) in compatible {
        assert_eq!(edited(edits), Verdict::Kept, "{what}");
    }
}

#[test]
fn a_version_does_not_go_back() {
    let back = edited(&[("imds:credentials@0.1.0;", "imds:credentials@0.0.9;")]);
    assert!(matches!(back, Verdict::Broken(_)), "{back:?}");
}
