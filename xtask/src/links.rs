//! Checks the Markdown of this repository: links lead somewhere, and lines are wrapped.
//!
//! Addresses on the web are not asked, so that the check works offline and gives the same result
//! every day.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::sources;

/// The widest that a line of text may be.
const COLUMNS: usize = 100;

/// Checks every Markdown file that git knows in `workspace`.
pub(crate) fn run(workspace: &Path) -> Result<()> {
    let mut pages = BTreeMap::new();
    for name in sources::tracked(workspace)? {
        if name.ends_with(".md") {
            let path = workspace.join(&name);
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
            pages.insert(PathBuf::from(name), Page::new(&text));
        }
    }
    let mut findings = Vec::new();
    let mut links = 0;
    for (name, page) in &pages {
        links += page.links.len();
        for (line, link) in &page.links {
            if let Some(problem) = problem(workspace, &pages, name, link) {
                findings.push(format!("{}:{line}: {link}: {problem}", name.display()));
            }
        }
        for line in &page.wide {
            findings.push(format!(
                "{}:{line}: the line is wider than {COLUMNS} columns",
                name.display()
            ));
        }
    }
    if !findings.is_empty() {
        bail!(findings.join("\n"));
    }
    println!("checked {links} links in {} pages", pages.len());
    Ok(())
}

/// What the check needs to know of a Markdown file.
#[derive(Debug, Default)]
struct Page {
    /// The destinations of links and images, each with its line.
    links: Vec<(usize, String)>,
    /// The fragments that a link may name.
    anchors: BTreeSet<String>,
    /// The lines that should be wrapped.
    wide: Vec<usize>,
}

impl Page {
    fn new(text: &str) -> Self {
        let mut page = Self::default();
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
        let mut heading = None;
        // The lines of what cannot be wrapped.
        let mut fixed = BTreeSet::new();
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            let line = line_of(text, range.start);
            if matches!(
                event,
                Event::Start(
                    Tag::CodeBlock(_) | Tag::Heading { .. } | Tag::HtmlBlock | Tag::Table(_)
                )
            ) {
                fixed.extend(line..=line_of(text, range.end.saturating_sub(1)));
            }
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line, dest_url.into_string()));
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let mut anchor = slug.clone();
                    let mut number = 0;
                    while !page.anchors.insert(anchor) {
                        number += 1;
                        anchor = format!("{slug}-{number}");
                    }
                }
                Event::Text(content) | Event::Code(content) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&content);
                    }
                }
                Event::Html(content) | Event::InlineHtml(content) => {
                    for name in ["href", "src", "srcset"] {
                        let found =
                            attributes(&content, name).map(|value| (line, value.to_owned()));
                        page.links.extend(found);
                    }
                    for name in ["id", "name"] {
                        page.anchors
                            .extend(attributes(&content, name).map(str::to_owned));
                    }
                }
                _ => {}
            }
        }
        // A program prints what is between `<!-- NAME -->` and `<!-- end of NAME -->`.
        let mut printed = None;
        for (index, line) in text.lines().enumerate() {
            let comment = line
                .strip_prefix("<!-- ")
                .and_then(|line| line.strip_suffix(" -->"));
            match comment {
                Some(name) if printed.is_some() && name.strip_prefix("end of ") == printed => {
                    printed = None;
                }
                Some(name)
                    if printed.is_none() && text.contains(&format!("<!-- end of {name} -->")) =>
                {
                    printed = Some(name);
                }
                _ if printed.is_some() || fixed.contains(&(index + 1)) => {}
                _ if is_too_wide(line) => page.wide.push(index + 1),
                _ => {}
            }
        }
        page
    }
}

/// What is wrong with a link of the page `name`.
fn problem(
    workspace: &Path,
    pages: &BTreeMap<PathBuf, Page>,
    name: &Path,
    link: &str,
) -> Option<&'static str> {
    if ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| link.starts_with(scheme))
    {
        return None;
    }
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        name.to_owned()
    } else {
        let Some(target) = normal(&name.with_file_name("").join(path)) else {
            return Some("it leads out of the repository");
        };
        target
    };
    if !workspace.join(&target).exists() {
        return Some("there is no such file");
    }
    match pages.get(&target) {
        Some(page) if !fragment.is_empty() && !page.anchors.contains(fragment) => {
            Some("the page has no such heading")
        }
        None if !fragment.is_empty() => Some("only headings of Markdown files can be linked"),
        _ => None,
    }
}

/// The path without `.` and `..`, unless these lead out of the folder where it begins.
pub(crate) fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => normal.push(name),
            Component::ParentDir if normal.pop() => {}
            _ => return None,
        }
    }
    Some(normal)
}

/// The anchor that GitHub gives to a heading.
fn slug(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'))
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}

/// The values of an HTML attribute.
pub(crate) fn attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let start = format!(" {name}=\"");
    let mut rest = html;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&start)?;
        let (value, after) = after.split_once('"')?;
        rest = after;
        Some(value)
    })
}

/// Whether a line is too wide and could be broken: a long word may stand alone.
fn is_too_wide(line: &str) -> bool {
    let indentation = line.len() - line.trim_start().len();
    let words = line
        .trim_start()
        .trim_start_matches(['*', '-', '>'])
        .trim_start();
    line.chars().count() > COLUMNS
        && indentation < COLUMNS
        && !words.starts_with('<')
        && words.contains(' ')
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_github() {
        let page =
            Page::new("# A `code` & more: 1.2\n\n## Twice\n\n## Twice\n\n<a id=\"own\"></a>\n");
        let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
        assert_eq!(anchors, ["a-code--more-12", "own", "twice", "twice-1"]);
    }

    #[test]
    fn links_lead_to_files_and_headings() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("docs")).unwrap();
        for file in ["README.md", "docs/page.md", "code.rs"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let pages = BTreeMap::from([
            (PathBuf::from("README.md"), Page::new("# Title")),
            (PathBuf::from("docs/page.md"), Page::new("# Page")),
        ]);
        let problem = |link: &str| problem(folder.path(), &pages, Path::new("docs/page.md"), link);
        for good in [
            "../README.md",
            "../README.md#title",
            "#page",
            "../code.rs",
            "https://example.com/#none",
        ] {
            assert_eq!(problem(good), None, "{good}");
        }
        assert_eq!(problem("none.md"), Some("there is no such file"));
        assert_eq!(problem("#none"), Some("the page has no such heading"));
        assert_eq!(
            problem("../README.md#page"),
            Some("the page has no such heading")
        );
        assert_eq!(problem("../../x"), Some("it leads out of the repository"));
        assert_eq!(
            problem("../code.rs#L1"),
            Some("only headings of Markdown files can be linked")
        );
    }

    #[test]
    fn links_are_found_with_their_lines() {
        let text = "[a](b.md)\n\n| [c](d.md) |\n| --- |\n\n![e](f.png) <img src=\"g.png\">\n\n[h]\n\n[h]: i.md\n\n`[j](k.md)`\n";
        let links = Page::new(text).links;
        let links: Vec<(usize, &str)> = links.iter().map(|(line, link)| (*line, &**link)).collect();
        assert_eq!(
            links,
            [
                (1, "b.md"),
                (3, "d.md"),
                (6, "f.png"),
                (6, "g.png"),
                (8, "i.md")
            ]
        );
    }

    #[test]
    fn wide_lines_are_found_in_text_alone() {
        let wide = "word ".repeat(21);
        let long = "x".repeat(101);
        let text = format!(
            "<!-- table -->\n{wide}\n<!-- end of table -->\n\n# {wide}\n\n{wide}\n\n* item\n  {wide}\n\n```text\n{wide}\n```\n\n| {wide} |\n| --- |\n\n{long}\n"
        );
        assert_eq!(Page::new(&text).wide, [7, 10]);
    }
}
