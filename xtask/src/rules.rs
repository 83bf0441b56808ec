//! The rule books: read from the `rules.toml` of a crate, printed as the Markdown page beside it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{error, fs};

use serde::Deserialize;

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

/// The books, each as its folder and the name of its page.
const BOOKS: [(&str, &str); 2] = [
    ("component/docs", "behaviour.md"),
    ("emulator/docs", "protocol.md"),
];

/// Markdown is wrapped at this column.
const WIDTH: usize = 100;

/// A rule book, and where it is.
#[derive(Debug)]
pub(crate) struct Book {
    /// Where its page is.
    pub(crate) page: PathBuf,
    content: Content,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    title: String,
    prefix: String,
    introduction: String,
    evidence: Vec<Evidence>,
    term: Vec<Term>,
    section: Vec<Section>,
    #[serde(default)]
    quirk: Vec<Quirk>,
    differences: Option<Differences>,
    #[serde(default)]
    source: Vec<Source>,
}

/// What a mark in front of a statement means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Evidence {
    mark: String,
    meaning: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Term {
    term: String,
    meaning: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    text: Option<String>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    rows: Vec<Vec<String>>,
    rule: Vec<Rule>,
    closing: Option<String>,
}

/// A rule. Its id is never given to another one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Rule {
    pub(crate) id: String,
    statements: Vec<Statement>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    rows: Vec<Vec<String>>,
    /// Paths of the metadata tree, sorted.
    #[serde(default)]
    paths: Vec<String>,
    /// How the AWS SDK for Go does it.
    go: Option<String>,
    /// What the emulator adds.
    emulator: Option<String>,
    /// What the emulator does otherwise, or not at all.
    #[serde(default)]
    differs: Vec<String>,
    /// Why the emulator does nothing of the kind.
    pub(crate) not_emulated: Option<String>,
    /// Why nothing cites the rule.
    pub(crate) not_cited: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    evidence: String,
    #[serde(default)]
    source: Vec<String>,
    text: String,
}

/// Something in the AWS SDK for Go on which a port must decide.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quirk {
    id: String,
    go: String,
    here: String,
}

/// The table of what the emulator does not do, or does otherwise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Differences {
    title: String,
    closing: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    id: String,
    what: String,
    date: Option<String>,
}

/// All rule books of the workspace.
///
/// # Errors
///
/// If one cannot be read, or contradicts itself.
pub(crate) fn books(workspace: &Path) -> Result<Vec<Book>> {
    let read = |(folder, page): (&str, &str)| {
        let folder = workspace.join(folder);
        let file = folder.join("rules.toml");
        let failed = |error: &dyn error::Error| format!("{}: {error}", file.display());
        let text = fs::read_to_string(&file).map_err(|error| failed(&error))?;
        let content: Content = toml::from_str(&text).map_err(|error| failed(&error))?;
        content
            .check()
            .map_err(|problem| format!("{}: {problem}", file.display()))?;
        let page = folder.join(page);
        Ok(Book { page, content })
    };
    BOOKS.into_iter().map(read).collect()
}

impl Book {
    /// All rules, in their order.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.content.rules()
    }

    /// The page.
    pub(crate) fn print(&self) -> String {
        self.content.print()
    }
}

impl Content {
    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.section.iter().flat_map(|section| &section.rule)
    }

    /// Whether every id is the only one of its kind, and every mark, source and rule that is named
    /// exists.
    fn check(&self) -> std::result::Result<(), String> {
        let mut rules = BTreeSet::new();
        for rule in self.rules() {
            if !is_id(&self.prefix, &rule.id) {
                return Err(format!(
                    "invalid id {:?}; accepted: {} and numbers with dots in between",
                    rule.id, self.prefix
                ));
            }
            if !rules.insert(rule.id.as_str()) {
                return Err(format!("{} is the id of two rules", rule.id));
            }
        }
        let marks: BTreeSet<&str> = self.evidence.iter().map(|it| it.mark.as_str()).collect();
        let sources = self.source.iter().map(|it| it.id.as_str());
        let sources = sources.chain(self.quirk.iter().map(|it| it.id.as_str()));
        let sources: BTreeSet<&str> = sources.collect();
        let mut cited = BTreeSet::new();
        for rule in self.rules() {
            for statement in &rule.statements {
                if !marks.contains(statement.evidence.as_str()) {
                    return Err(format!("{}: unknown mark {}", rule.id, statement.evidence));
                }
                for source in &statement.source {
                    // Other sources speak for themselves: an issue, a book.
                    let number = source.strip_prefix(['S', 'Q']).unwrap_or_default();
                    if number.parse::<u32>().is_err() {
                        continue;
                    }
                    if !sources.contains(source.as_str()) {
                        return Err(format!("{}: unknown source {source}", rule.id));
                    }
                    cited.insert(source.as_str());
                }
            }
            if !rule.paths.is_sorted() {
                return Err(format!("{}: the paths are not sorted", rule.id));
            }
        }
        if let Some(source) = self
            .source
            .iter()
            .find(|it| !cited.contains(it.id.as_str()))
        {
            return Err(format!("no rule cites the source {}", source.id));
        }
        for (id, _) in references(&self.prefix, &self.print()) {
            if !rules.contains(id) {
                return Err(format!("a text names {id}, but no rule has this id"));
            }
        }
        Ok(())
    }

    fn print(&self) -> String {
        let mut page = Page {
            prefix: &self.prefix,
            text: "<!-- Printed from rules.toml by `cargo xtask rules`: change that file, not this one. -->\n"
                .into(),
        };
        page.heading(1, &self.title);
        page.paragraphs(&self.introduction);
        page.table(
            &["mark", "meaning"],
            self.evidence.iter().map(|it| [&*it.mark, &*it.meaning]),
        );
        page.heading(2, "Terms");
        page.table(
            &["term", "meaning"],
            self.term.iter().map(|it| [&*it.term, &*it.meaning]),
        );
        for section in &self.section {
            section.print(&mut page);
        }
        if !self.quirk.is_empty() {
            page.heading(2, "Quirks");
            page.paragraphs("Quirks of Go, and what the component does in their place.");
            page.table(
                &["quirk", "Go", "here"],
                self.quirk.iter().map(|it| [&*it.id, &*it.go, &*it.here]),
            );
        }
        if let Some(differences) = &self.differences {
            page.heading(2, &differences.title);
            let rows = self.rules().flat_map(|rule| {
                let texts = rule.not_emulated.iter().chain(&rule.differs);
                texts.map(|text| [format!("[{}]", rule.id), text.clone()])
            });
            page.table(&["rule", "what is different"], rows);
            page.paragraphs(&differences.closing);
        }
        if !self.source.is_empty() {
            page.heading(2, "Sources");
            page.table(
                &["source", "what it is", "date"],
                self.source.iter().map(|it| {
                    [
                        &*it.id,
                        &*it.what,
                        it.date.as_deref().unwrap_or("not known"),
                    ]
                }),
            );
        }
        page.text
    }
}

impl Section {
    fn print(&self, page: &mut Page<'_>) {
        page.heading(2, &self.title);
        page.paragraphs(self.text.as_deref().unwrap_or_default());
        page.table(&self.columns, &self.rows);
        for rule in &self.rule {
            rule.print(page);
        }
        page.paragraphs(self.closing.as_deref().unwrap_or_default());
    }
}

impl Rule {
    fn print(&self, page: &mut Page<'_>) {
        let mut text = format!("<a id=\"{0}\"></a> **{0}**", self.id);
        if self.not_emulated.is_some() {
            text.push_str(" (not emulated)");
        }
        for statement in &self.statements {
            let _ = match statement.source.as_slice() {
                [] => write!(text, " ({})", statement.evidence),
                sources => write!(text, " ({}: {})", statement.evidence, sources.join(", ")),
            };
            text.push(' ');
            text.push_str(&statement.text);
        }
        for (who, what) in [
            ("Go", &self.go),
            ("The emulator", &self.emulator),
            ("Not cited", &self.not_cited),
        ] {
            if let Some(what) = what {
                let _ = write!(text, " *{who}:* {what}");
            }
        }
        page.paragraphs(&text);
        page.table(&self.columns, &self.rows);
        page.list(&by_folder(&self.paths));
    }
}

/// A line for every folder, with the names in it.
fn by_folder(paths: &[String]) -> Vec<String> {
    let mut folders: Vec<(&str, Vec<&str>)> = Vec::new();
    for path in paths {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        match folders.iter_mut().find(|(other, _)| *other == folder) {
            Some((_, names)) => names.push(name),
            None => folders.push((folder, vec![name])),
        }
    }
    let line = |(folder, names): &(&str, Vec<&str>)| match names.as_slice() {
        [name] => format!("`{folder}/{name}`"),
        names => format!("`{folder}/`: `{}`", names.join("`, `")),
    };
    folders.iter().map(line).collect()
}

/// A Markdown page: blocks with a blank line between them.
struct Page<'a> {
    prefix: &'a str,
    text: String,
}

impl Page<'_> {
    fn heading(&mut self, level: usize, text: &str) {
        let _ = writeln!(self.text, "\n{} {text}", "#".repeat(level));
    }

    /// Paragraphs that are separated by blank lines.
    fn paragraphs(&mut self, text: &str) {
        for paragraph in text.split("\n\n").filter(|text| !text.trim().is_empty()) {
            self.text.push('\n');
            self.wrap("", "", paragraph);
        }
    }

    fn list(&mut self, lines: &[String]) {
        if !lines.is_empty() {
            self.text.push('\n');
        }
        for line in lines {
            self.wrap("* ", "  ", line);
        }
    }

    fn table<R: IntoIterator<Item: AsRef<str>>>(
        &mut self,
        columns: &[impl AsRef<str>],
        rows: impl IntoIterator<Item = R>,
    ) {
        if columns.is_empty() {
            return;
        }
        self.text.push('\n');
        self.row(columns);
        self.row(columns.iter().map(|_| "---"));
        for row in rows {
            self.row(row);
        }
    }

    fn row(&mut self, cells: impl IntoIterator<Item: AsRef<str>>) {
        for cell in cells {
            let _ = write!(self.text, "| {} ", linked(self.prefix, cell.as_ref()));
        }
        self.text.push_str("|\n");
    }

    /// A block of lines that are not too long: the first begins with `first`, the others with
    /// `others`.
    fn wrap(&mut self, first: &str, others: &str, text: &str) {
        let text = linked(self.prefix, text);
        let mut line = first.to_owned();
        let mut is_empty = true;
        for word in words(&text) {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.text.push_str(&line);
                self.text.push('\n');
                line = others.to_owned();
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }
}

/// The text with a link for every rule that it names.
fn linked(prefix: &str, text: &str) -> String {
    let mut linked = text.to_owned();
    for (id, end) in references(prefix, text).into_iter().rev() {
        linked.insert_str(end, &format!("(#{id})"));
    }
    linked
}

/// The rules that a text names as `[B2.5]`, outside code, and where the names end.
fn references<'a>(prefix: &str, text: &'a str) -> Vec<(&'a str, usize)> {
    let reference = |(at, _): (usize, &str)| {
        let (before, rest) = text.split_at(at);
        let (id, _) = rest.strip_prefix('[')?.split_once(']')?;
        let is_in_code = before.ends_with('`');
        (is_id(prefix, id) && !is_in_code).then_some((id, at + id.len() + 2))
    };
    text.match_indices('[').filter_map(reference).collect()
}

fn is_id(prefix: &str, id: &str) -> bool {
    let is_number = |part: &str| part.parse::<u32>().is_ok_and(|part| part > 0);
    id.strip_prefix(prefix)
        .is_some_and(|numbers| numbers.split('.').all(is_number))
}

/// The words of a text. Code is one word, whatever spaces it has, so that no line begins with what
/// Markdown takes for a list or a heading.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.split(move |char: char| {
        code ^= char == '`';
        char.is_whitespace() && !code
    })
    .filter(|word| !word.is_empty())
}
