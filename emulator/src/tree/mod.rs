//! The tree of metadata: which paths exist, since which version, and what is listed `[I27]`
//! to `[I43]`.

mod leaves;
mod snapshot;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use chrono::{DateTime, Utc};

pub use self::leaves::{LEAVES, Leaf};
pub(crate) use self::snapshot::{Snapshot, Value};

use crate::config::Config;
use crate::value::Content;

use self::leaves::{FOLDERS, Listing, Presence};
use self::snapshot::{Lasts, Made};

/// The versions of the tree, oldest first, as `/` lists them before `latest` `[I27]`.
pub(crate) const VERSIONS: [&str; 30] = [
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "2024-04-11",
    "2025-10-04",
    "2026-04-15",
];

/// The name of the newest version, whatever its date.
pub(crate) const LATEST: &str = "latest";

/// All paths below a version, for an instance with one role.
pub(crate) struct Tree {
    /// Sorted by path.
    nodes: Vec<(Cow<'static, str>, Node)>,
    role: Option<String>,
    /// Whether the list of roles exists although there is no role.
    role_list_is_empty: bool,
}

/// A leaf at its path.
struct Node {
    /// The version that the leaf came with.
    since: &'static str,
    /// The source of the value: a leaf of the table, and the index among its paths. `None` for
    /// bytes of the configuration.
    source: Option<(&'static Leaf, usize)>,
    /// The value, once it is known, if it always stays the same.
    constant: OnceLock<Value>,
    /// The latest value that stays the same for a time.
    latest: ArcSwapOption<(Range<DateTime<Utc>>, Value)>,
}

/// What exists at a path.
pub(crate) enum Found {
    Leaf(Value),
    /// The names in a folder. Names of folders end in a slash.
    Folder(Vec<String>),
}

impl Tree {
    /// The tree of an instance with this role.
    pub(crate) fn new(config: &Config, role: Option<String>) -> Self {
        let mut nodes = Vec::with_capacity(LEAVES.len());
        for leaf in LEAVES {
            let paths = leaf.paths(config, role.as_deref());
            for (index, path) in paths.into_iter().enumerate() {
                let node = Node::new(leaf.since, Some((leaf, index)));
                nodes.push((path, node));
            }
        }
        nodes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut tree = Self {
            nodes,
            role,
            role_list_is_empty: false,
        };
        for (path, content) in &config.data {
            tree.replace(path, content);
        }
        tree
    }

    /// The same tree with an empty list of roles.
    pub(crate) fn with_empty_role_list(self) -> Self {
        Self {
            role_list_is_empty: true,
            ..self
        }
    }

    /// Puts `content` in place of everything at `path`, above it and below it.
    fn replace(&mut self, path: &str, content: &Content) {
        let folder = format!("{path}/");
        let replaced = self.node(path);
        let since = replaced.map_or("1.0", |node| node.since);
        self.nodes.retain(|(other, _)| {
            let above = path.strip_prefix(other.as_ref());
            !other.starts_with(&folder)
                && !above.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if let Some(bytes) = leaves::bytes(content) {
            let node = Node::new(since, None);
            node.remember(Made::constant(bytes));
            let index = self.index(path).unwrap_or_else(|index| index);
            self.nodes.insert(index, (path.to_owned().into(), node));
        }
    }

    /// The index of a path among the nodes, or the index at which it would be inserted.
    fn index(&self, path: &str) -> Result<usize, usize> {
        self.nodes
            .binary_search_by(|(other, _)| other.as_ref().cmp(path))
    }

    fn node(&self, path: &str) -> Option<&Node> {
        let (_, node) = self.nodes.get(self.index(path).ok()?)?;
        Some(node)
    }

    /// The role whose credentials the tree has.
    pub(crate) fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    fn role_list_is_empty(&self) -> bool {
        self.role_list_is_empty
    }

    /// The value at a path below the newest version.
    fn value(&self, path: &str, at: &Snapshot<'_>) -> Option<Value> {
        self.node(path)?.value(at)
    }

    /// What exists at `path` below `version`, at that moment.
    pub(crate) fn find(&self, version: &str, path: &str, at: &Snapshot<'_>) -> Option<Found> {
        match self.node(path) {
            Some(node) if node.is_in(version) => node.value(at).map(Found::Leaf),
            Some(_) => None,
            None => self.list(version, path, at).map(Found::Folder),
        }
    }

    /// The names in a folder, if it exists.
    fn list(&self, version: &str, path: &str, at: &Snapshot<'_>) -> Option<Vec<String>> {
        let folder = match path {
            "" => String::new(),
            path => format!("{path}/"),
        };
        // Every name, and whether it is that of a folder.
        let mut names = BTreeSet::new();
        let from = self.index(&folder).unwrap_or_else(|index| index);
        for (below, node) in self.nodes.iter().skip(from) {
            let Some(rest) = below.strip_prefix(&folder) else {
                break;
            };
            let entry = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, false),
            };
            if !names.contains(&entry) && node.is_in(version) && node.exists(at) {
                names.insert(entry);
            }
        }
        let mut listing = None;
        for (other, how) in FOLDERS {
            if *other == path {
                listing = Some(how);
            }
            if let Listing::Empty { when } = how
                && let Some(name) = other.strip_prefix(&folder)
                && !name.contains('/')
                && when(at)
            {
                names.insert((name, true));
            }
        }
        if names.is_empty() {
            let is_there = matches!(listing, Some(Listing::Empty { when }) if when(at));
            return is_there.then(Vec::new);
        }
        let listed = |(name, is_folder): (&str, bool)| {
            let label = match listing {
                Some(Listing::Labelled(label)) => label(at.instance, name),
                _ => None,
            };
            match label {
                Some(label) => label,
                // The first level has no slashes ([I29]).
                None if is_folder && !folder.is_empty() => format!("{name}/"),
                None => name.to_owned(),
            }
        };
        Some(names.into_iter().map(listed).collect())
    }
}

impl Node {
    fn new(since: &'static str, source: Option<(&'static Leaf, usize)>) -> Self {
        Self {
            since,
            source,
            constant: OnceLock::new(),
            latest: ArcSwapOption::empty(),
        }
    }

    fn is_in(&self, version: &str) -> bool {
        version == LATEST || self.since <= version
    }

    /// Whether the leaf exists at that moment. Its value is computed only if that is the only way to
    /// know.
    fn exists(&self, at: &Snapshot<'_>) -> bool {
        match self.source.map(|(leaf, _)| leaf.presence) {
            None | Some(Presence::Always) => true,
            Some(Presence::If(holds)) => holds(at),
            Some(Presence::Given) => self.value(at).is_some(),
        }
    }

    /// The value at that moment, from memory if it is known.
    fn value(&self, at: &Snapshot<'_>) -> Option<Value> {
        if let Some(value) = self.constant.get() {
            return Some(value.clone());
        }
        if let Some((time, value)) = self.latest.load().as_deref()
            && time.contains(&at.now)
        {
            return Some(value.clone());
        }
        let (leaf, index) = self.source?;
        Some(self.remember(leaf.make(at, index)?))
    }

    /// Keeps a value for as long as it stays the same.
    fn remember(&self, made: Made) -> Value {
        let value = made.value;
        match made.lasts {
            Lasts::Always => return self.constant.get_or_init(|| value).clone(),
            Lasts::During(time) => self.latest.store(Some(Arc::new((time, value.clone())))),
            Lasts::Momentarily => {}
        }
        value
    }
}
