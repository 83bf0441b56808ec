//! The structure of the code: what modules import, and how long files are.
//!
//! The module table in each crate's `lib.rs` says what the code imports, and allows no cycle.
//!
//! A row lists the modules that it describes and, under "may use", the modules that they import.
//! A row may name modules of the rows above it only, so that the crate can be read from top to
//! bottom. Tests (`#[cfg(test)]`) may import anything.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree, Visibility};

#[test]
fn every_crate_imports_what_its_module_table_says() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut complaints = Vec::new();
    for name in ["component", "emulator", "host"] {
        let source = workspace.join(name).join("src");
        let read = |path: &str| fs::read_to_string(source.join(path)).ok();
        let found = check(&read).into_iter();
        complaints.extend(found.map(|complaint| format!("{name}: {complaint}")));
    }
    assert!(
        complaints.is_empty(),
        "the module tables and the code disagree:\n{}",
        complaints.join("\n")
    );
}

/// A file of code has at most this number of lines. Test programs may be longer.
const MOST_LINES: usize = 600;

#[test]
fn no_file_of_code_is_too_long() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    collect_code(&workspace, true, &mut files);
    assert!(files.len() > 250, "only {} files were found", files.len());
    let mut too_long = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).expect("the file can be read");
        let lines = source.lines().count();
        if lines > MOST_LINES {
            let name = file.strip_prefix(&workspace).expect("it is inside");
            too_long.push(format!("{}: {lines} lines", name.display()));
        }
    }
    assert!(
        too_long.is_empty(),
        "split each of these files by subject, at most {MOST_LINES} lines each:\n{}",
        too_long.join("\n")
    );
}

/// Finds Rust files, except for test programs: those in the folder `tests` of a package. The top-level
/// folder `tests` is itself a package, with the code of the conformance suite.
fn collect_code(folder: &Path, is_workspace: bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.is_dir() {
            // A build and npm write files that are not the project's.
            let is_foreign = name.starts_with('.') || ["node_modules", "target"].contains(&name);
            if !is_foreign && (is_workspace || name != "tests") {
                collect_code(&path, false, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// A crate in a few lines: `value` is a leaf, `top` may use it.
fn example(value: &'static str, top: &'static str, table: &'static str) -> Vec<String> {
    let lib = format!(
        "//! | module | what lives there | may use |\n//! | --- | --- | --- |\n{table}\n\
         mod top;\nmod value;\npub use self::top::Top;\n"
    );
    check(&|path| match path {
        "lib.rs" => Some(lib.clone()),
        "value.rs" => Some(value.into()),
        "top/mod.rs" => Some(top.into()),
        _ => None,
    })
}

const TABLE: &str = "//! | `value` | a leaf | – |\n//! | [`top`] | the rest | `value` |";

#[test]
fn an_import_that_the_table_allows_passes() {
    assert_eq!(example("", "use crate::value::Span;", TABLE), [""; 0]);
    let everything = "//! | `value` | a leaf | – |\n//! | `top` | the rest | everything above |";
    assert_eq!(
        example("", "fn f(_: super::value::Span) {}", everything),
        [""; 0]
    );
}

#[test]
fn an_import_that_the_table_does_not_allow_fails() {
    for import in [
        "use crate::top;",
        "use super::{top::Top};",
        "fn f() -> crate::top::Top { loop {} }",
        "fn f() { println!(\"{}\", crate::top::TOP) }",
        "use crate::Top;",
        "#[derive(Serialize)] struct S { #[serde(with = \"crate::top\")] field: u8 }",
    ] {
        let complaints = example(import, "use crate::value::Span;", TABLE);
        assert_eq!(
            complaints,
            ["value.rs:1: `value` imports `top`, which its row does not allow"],
            "{import}"
        );
    }
    assert_eq!(
        example("use crate::*;", "use crate::value::Span;", TABLE),
        ["value.rs:1: `value` imports everything at the crate root; name what it needs"]
    );
}

#[test]
fn a_test_may_import_anything() {
    let tests = "#[cfg(test)] mod tests { use crate::top::Top; } #[cfg(test)] use crate::top;";
    assert_eq!(example(tests, "use crate::value::Span;", TABLE), [""; 0]);
}

#[test]
fn a_table_that_is_not_true_fails() {
    let cases = [
        (
            "//! | `value` | a leaf | `top` |\n//! | `top` | the rest | `value` |",
            "the row of `value` allows `top`, which is not in a row above it",
        ),
        ("//! | `top` | the rest | – |", "`value` is in no row"),
        (
            "//! | `value`, `gone` | a leaf | – |\n//! | `top` | the rest | `value` |",
            "there is no module `gone`",
        ),
    ];
    for (table, complaint) in cases {
        let complaints = example("", "use crate::value::Span;", table);
        assert!(complaints.contains(&complaint.into()), "{complaints:#?}");
    }
    assert_eq!(
        example("", "", TABLE),
        ["the row of `top` allows `value`, which none of its modules imports"]
    );
    let together = "//! | `value`, `top` | two modules in one row | – |";
    assert_eq!(
        example("", "use crate::value::Span;", together),
        ["top/mod.rs:1: `top` imports `value`, which its row does not allow"]
    );
}

/// What is wrong with the table of the crate whose sources `read` gives by their path.
fn check(read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let lib = read("lib.rs").expect("there is a lib.rs");
    let rows = rows(&lib);
    let code = Code::read(&lib, read);
    let mut complaints = code.complaints.clone();

    let mut above = BTreeSet::new();
    let mut described = BTreeSet::new();
    for row in &rows {
        let modules = row.modules.iter().map(|module| format!("`{module}`"));
        let title = modules.collect::<Vec<_>>().join(", ");
        let allowed = match &row.may_use {
            MayUse::EverythingAbove => above.clone(),
            MayUse::These(modules) => modules.clone(),
        };
        for module in allowed.difference(&above) {
            complaints.push(format!(
                "the row of {title} allows `{module}`, which is not in a row above it"
            ));
        }
        let mut used = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for import in &code.imports {
            if !row.modules.contains(&import.from) || import.from == import.to {
                continue;
            }
            used.insert(import.to.clone());
            // The first mention in a file is enough.
            let (file, _) = import.at.split_once(':').unwrap_or_default();
            if !allowed.contains(&import.to) && seen.insert((file, &import.to)) {
                complaints.push(format!(
                    "{}: `{}` imports `{}`, which its row does not allow",
                    import.at, import.from, import.to
                ));
            }
        }
        if let MayUse::These(modules) = &row.may_use {
            for module in modules.difference(&used) {
                complaints.push(format!(
                    "the row of {title} allows `{module}`, which none of its modules imports"
                ));
            }
        }
        above.extend(row.modules.iter().cloned());
        described.extend(row.modules.iter().cloned());
    }
    for module in code.modules.difference(&described) {
        complaints.push(format!("`{module}` is in no row"));
    }
    for module in described.difference(&code.modules) {
        complaints.push(format!("there is no module `{module}`"));
    }
    complaints
}

/// A row of the module table.
struct Row {
    modules: Vec<String>,
    may_use: MayUse,
}

enum MayUse {
    EverythingAbove,
    These(BTreeSet<String>),
}

fn rows(lib: &str) -> Vec<Row> {
    let table = lib
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .skip_while(|line| !(line.starts_with("| module |") && line.contains("| may use |")))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    table
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
            let [modules, _, may_use] = cells.as_slice() else {
                panic!("not three columns: {line}");
            };
            Row {
                modules: names(modules),
                may_use: if may_use.trim() == "everything above" {
                    MayUse::EverythingAbove
                } else {
                    MayUse::These(names(may_use).into_iter().collect())
                },
            }
        })
        .collect()
}

/// The names between backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(Into::into).collect()
}

/// One module's mention of another.
struct Import {
    from: String,
    to: String,
    at: String,
}

/// What the sources of a crate say of its top-level modules.
#[derive(Default)]
struct Code {
    modules: BTreeSet<String>,
    /// Names that the crate's root re-exports, with the module that they come from.
    re_exports: BTreeMap<String, String>,
    imports: Vec<Import>,
    complaints: Vec<String>,
}

impl Code {
    fn read(lib: &str, read: &dyn Fn(&str) -> Option<String>) -> Self {
        let root = syn::parse_file(lib).expect("lib.rs parses");
        let mut code = Self::default();
        for item in &root.items {
            match item {
                Item::Mod(item) if !is_for_tests(&item.attrs) => {
                    code.modules.insert(item.ident.to_string());
                }
                Item::Use(item) => {
                    for path in paths(&item.tree) {
                        if let [first, module, .., name] = path.as_slice()
                            && (first == "self" || first == "crate")
                        {
                            code.re_exports.insert(name.clone(), module.clone());
                        }
                    }
                }
                _ => {}
            }
        }
        for module in code.modules.clone() {
            // A module that the table documents inline has no file and imports nothing.
            if let Some((path, source)) = file(read, &module) {
                code.read_module(&path, &source, vec![module], read);
            }
        }
        code
    }

    fn read_module(
        &mut self,
        path: &str,
        source: &str,
        module: Vec<String>,
        read: &dyn Fn(&str) -> Option<String>,
    ) {
        let parsed = syn::parse_file(source).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut reader = Reader {
            path,
            module,
            children: Vec::new(),
            code: self,
        };
        reader.visit_file(&parsed);
        for (child, named) in reader.children {
            if named.is_empty() {
                let (path, source) = file(read, &child.join("/"))
                    .unwrap_or_else(|| panic!("{path}: no file for {child:?}"));
                self.read_module(&path, &source, child, read);
                continue;
            }
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for name in named {
                let path = format!("{folder}/{name}");
                let source = read(&path).unwrap_or_else(|| panic!("no file {path}"));
                self.read_module(&path, &source, child.clone(), read);
            }
        }
    }
}

fn file(read: &dyn Fn(&str) -> Option<String>, module: &str) -> Option<(String, String)> {
    let paths = [format!("{module}.rs"), format!("{module}/mod.rs")];
    paths
        .into_iter()
        .find_map(|path| read(&path).map(|source| (path, source)))
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition == "test" || condition.starts_with("all (test")
        }
        _ => false,
    })
}

/// The file in `#[path = "…"]`, or in a `#[cfg_attr(…, path = "…")]`.
fn file_name(attribute: &Attribute) -> Option<String> {
    let tokens = match &attribute.meta {
        Meta::NameValue(value) if value.path.is_ident("path") => value.value.to_token_stream(),
        Meta::List(list) if list.path.is_ident("cfg_attr") => list.tokens.clone(),
        _ => return None,
    };
    let literals = tokens.into_iter().map(|token| token.to_string());
    let mut names = literals.filter(|text| text.ends_with(".rs\""));
    names.next().map(|text| text.trim_matches('"').into())
}

/// The paths that a `use` names, without renames.
fn paths(tree: &UseTree) -> Vec<Vec<String>> {
    let tails = match tree {
        UseTree::Path(path) => {
            let mut tails = paths(&path.tree);
            for tail in &mut tails {
                tail.insert(0, path.ident.to_string());
            }
            return tails;
        }
        UseTree::Name(name) => name.ident.to_string(),
        UseTree::Rename(rename) => rename.ident.to_string(),
        UseTree::Glob(_) => "*".into(),
        UseTree::Group(group) => return group.items.iter().flat_map(paths).collect(),
    };
    vec![vec![tails]]
}

/// Collects the imports of one file.
struct Reader<'a> {
    path: &'a str,
    module: Vec<String>,
    /// Modules below this one with a file of their own, and the files that `path` attributes name.
    children: Vec<(Vec<String>, Vec<String>)>,
    code: &'a mut Code,
}

impl Reader<'_> {
    /// `path` is written in the present module.
    fn found(&mut self, path: &[String], span: Span) {
        let Some((first, mut rest)) = path.split_first() else {
            return;
        };
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "super" => self.module[..self.module.len() - 1].to_vec(),
            _ => return,
        };
        while let Some((first, more)) = rest.split_first()
            && first == "super"
        {
            base.pop();
            rest = more;
        }
        let Some(name) = base.first().or(rest.first()) else {
            return;
        };
        let at = format!("{}:{}", self.path, span.start().line);
        let from = self.module[0].clone();
        if name == "*" {
            self.code.complaints.push(format!(
                "{at}: `{from}` imports everything at the crate root; name what it needs"
            ));
        } else if self.code.modules.contains(name) {
            let to = name.clone();
            self.code.imports.push(Import { from, to, at });
        } else if let Some(module) = self.code.re_exports.get(name) {
            let to = module.clone();
            self.code.imports.push(Import { from, to, at });
        }
        // Anything else is an item of the root itself.
    }

    /// Paths in the tokens of a macro or an attribute, where the syntax tree ends.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut start = Span::call_site();
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if path.is_empty() || !path.last().is_some_and(String::is_empty) {
                        self.found(&std::mem::take(&mut path), start);
                        start = ident.span();
                    } else {
                        path.pop();
                    }
                    path.push(ident.to_string());
                    continue;
                }
                // An empty name stands for the `::` that waits for the next one.
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    if path.last().is_some_and(|name| !name.is_empty()) {
                        path.push(String::new());
                    }
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    let text = text.trim_matches('"');
                    let named: Vec<String> = text.split("::").map(Into::into).collect();
                    self.found(&named, literal.span());
                }
                TokenTree::Punct(_) => {}
            }
            self.found(&std::mem::take(&mut path), start);
        }
        self.found(&path, start);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        match &item.content {
            Some(_) => visit::visit_item_mod(self, item),
            None => {
                let named = item.attrs.iter().filter_map(file_name).collect();
                self.children.push((self.module.clone(), named));
            }
        }
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for path in paths(&item.tree) {
            self.found(&path, item.use_token.span);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if let Some(first) = path.segments.first() {
            self.found(&names, first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }

    // `pub(in crate::module)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
