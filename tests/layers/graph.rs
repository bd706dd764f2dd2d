//! Which file uses which, and what follows from it: cycles, and imports between groups of files.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::Path;
use crate::tree::{Sources, Unit, is_test, module_path};

/// A chain of re-exports is followed this far.
const MAX_HOPS: usize = 8;

/// The files and, for each, those that it uses with the names that it uses of them.
pub struct Graph {
    units: BTreeMap<String, Unit>,
    files: BTreeMap<Vec<String>, String>,
    pub uses: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

/// What a path leads to.
enum Target {
    /// A module as a whole.
    Module(Vec<String>),
    /// A name in a file.
    Name(String, String),
}

impl Graph {
    pub fn new(sources: &Sources) -> Self {
        let sources = sources.iter().filter(|(file, _)| !is_test(file));
        let units: BTreeMap<String, Unit> =
            sources.map(|(file, source)| (file.clone(), Unit::new(file, source))).collect();
        let files = units.iter().map(|(file, unit)| (unit.module.clone(), file.clone())).collect();
        let mut graph = Self { units, files, uses: BTreeMap::new() };
        graph.uses = graph.units.iter().map(|(file, unit)| (file.clone(), graph.used_by(file, unit))).collect();
        graph
    }

    fn used_by(&self, file: &str, unit: &Unit) -> BTreeMap<String, BTreeSet<String>> {
        let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for path in &unit.paths {
            // What a file only hands on it does not use.
            if path.exported && !path.imported_as().filter(|_| !path.glob).is_some_and(|name| unit.words.contains(name))
            {
                continue;
            }
            let target = match self.resolve(unit, path, 0) {
                Some(Target::Name(target, name)) => Some((target, name)),
                Some(Target::Module(module)) if path.glob => self.files.get(&module).map(|t| (t.clone(), "*".into())),
                // A module as a whole: what is used of it has a path of its own.
                Some(Target::Module(_)) | None => None,
            };
            if let Some((target, name)) = target.filter(|(target, _)| target != file) {
                used.entry(target).or_default().insert(name);
            }
        }
        used
    }

    /// Follows a path to the file that defines its name.
    fn resolve(&self, unit: &Unit, path: &Path, hops: usize) -> Option<Target> {
        if path.global || hops > MAX_HOPS {
            return None;
        }
        let module = &unit.module;
        let (first, rest) = path.parts.split_first()?;
        // A binary names the library by its name and itself `crate`.
        let own_crate = module.first().filter(|name| name.ends_with('/'));
        match first.as_str() {
            "provbroker" => self.descend(Vec::new(), rest, hops),
            "crate" => self.descend(own_crate.cloned().into_iter().collect(), rest, hops),
            "self" => self.descend(module.clone(), rest, hops),
            "super" => {
                let ups = path.parts.iter().take_while(|part| *part == "super").count();
                let base = module.get(..module.len().checked_sub(ups)?)?.to_vec();
                self.descend(base, &path.parts[ups..], hops)
            }
            // An import explains itself; other paths may begin with the name of an import or of a child.
            _ => {
                let imported = unit.paths.iter().find(|other| {
                    let explains = other.imports && !other.glob && other.imported_as() == Some(first.as_str());
                    explains && other.parts != path.parts
                });
                match imported.and_then(|import| self.resolve(unit, import, hops + 1)) {
                    Some(Target::Module(module)) => self.descend(module, rest, hops + 1),
                    Some(name) => Some(name),
                    None if imported.is_none() && self.is_module(&child(module, first)) => {
                        self.descend(child(module, first), rest, hops)
                    }
                    None => None,
                }
            }
        }
    }

    fn descend(&self, mut module: Vec<String>, parts: &[String], hops: usize) -> Option<Target> {
        let mut parts = parts.iter();
        let name = loop {
            let Some(part) = parts.next() else { return Some(Target::Module(module)) };
            if part == "self" {
                return Some(Target::Module(module));
            }
            if !self.is_module(&child(&module, part)) {
                break part;
            }
            module.push(part.clone());
        };
        let file = self.files.get(&module)?;
        let unit = &self.units[file];
        if !unit.defines.contains(name) && hops <= MAX_HOPS {
            let handed_on =
                unit.paths.iter().find(|path| path.imports && !path.glob && path.imported_as() == Some(name.as_str()));
            match handed_on.and_then(|path| self.resolve(unit, path, hops + 1)) {
                Some(Target::Module(module)) => {
                    let rest: Vec<String> = parts.cloned().collect();
                    return self.descend(module, &rest, hops + 1);
                }
                Some(target) => return Some(target),
                None => {}
            }
            for glob in unit.paths.iter().filter(|path| path.glob) {
                if let Some(Target::Module(from)) = self.resolve(unit, glob, hops + 1)
                    && let Some(from) = self.files.get(&from)
                    && self.units[from].defines.contains(name)
                {
                    return Some(Target::Name(from.clone(), name.clone()));
                }
            }
        }
        Some(Target::Name(file.clone(), name.clone()))
    }

    fn is_module(&self, path: &[String]) -> bool {
        self.files.contains_key(path)
    }

    /// The cycles: sets of files, each of which leads to every other one. What `counts` refuses is no import.
    pub fn cycles(&self, counts: impl Fn(&str, &str) -> bool) -> Vec<Vec<String>> {
        let edges = self.uses.iter().map(|(file, used)| {
            let used = used.keys().filter(|target| counts(file, target));
            (file.as_str(), used.map(String::as_str).collect())
        });
        cycles(&edges.collect())
    }

    /// Imports between groups of files, as pairs of different groups.
    pub fn between(&self, group: impl Fn(&str) -> Option<String>) -> BTreeSet<(String, String)> {
        let edges = self.uses.iter().flat_map(|(from, used)| used.keys().map(move |to| (from, to)));
        let pairs = edges.filter_map(|(from, to)| Some((group(from)?, group(to)?)));
        pairs.filter(|(from, to)| from != to).collect()
    }
}

/// Whether `to` is no module that `from` belongs to.
pub fn is_no_ancestor(from: &str, to: &str) -> bool {
    let (from, to) = (module_path(from), module_path(to));
    !from.starts_with(&to)
}

fn child(module: &[String], name: &str) -> Vec<String> {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    path
}

/// The strongly connected components with more than one member.
pub fn cycles(edges: &BTreeMap<&str, Vec<&str>>) -> Vec<Vec<String>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|from| (*from, reached(edges, from))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (from, to) in &reach {
        if to.contains(from) {
            let members = to.iter().filter(|other| reach.get(**other).is_some_and(|back| back.contains(from)));
            found.insert(members.map(|member| (*member).to_owned()).collect());
        }
    }
    found.into_iter().collect()
}

fn reached<'a>(edges: &BTreeMap<&'a str, Vec<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = edges.get(from).cloned().unwrap_or_default();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(edges.get(next).into_iter().flatten());
        }
    }
    reached
}

/// How many of the imports run upwards, in the order of the groups that has the fewest of them: found by moving one
/// group after another to its best place until nothing gets better.
pub fn upwards(pairs: &BTreeSet<(String, String)>) -> Vec<(String, String)> {
    let mut order: Vec<&str> = pairs.iter().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
    order.sort_unstable();
    order.dedup();
    // Who uses most stands on top.
    let balance = |name: &str| {
        let users = pairs.iter().filter(|(_, to)| to == name).count();
        let imports = pairs.iter().filter(|(from, _)| from == name).count();
        i64::try_from(users).unwrap_or(0) - i64::try_from(imports).unwrap_or(0)
    };
    order.sort_by_key(|name| balance(name));
    let against = |order: &[&str]| {
        let place: BTreeMap<&str, usize> = order.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let upwards = pairs.iter().filter(|(from, to)| place[from.as_str()] > place[to.as_str()]);
        upwards.cloned().collect::<Vec<_>>()
    };
    let mut best = against(&order);
    loop {
        let before = best.len();
        for name in order.clone() {
            for place in 0..order.len() {
                let mut other: Vec<&str> = order.iter().copied().filter(|other| *other != name).collect();
                other.insert(place, name);
                let upwards = against(&other);
                if upwards.len() < best.len() {
                    (order, best) = (other, upwards);
                }
            }
        }
        if best.len() == before {
            return best;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(files: &[(&str, &str)]) -> Graph {
        Graph::new(&files.iter().map(|(file, source)| ((*file).into(), (*source).into())).collect())
    }

    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let graph = graph(files);
        let edges = graph.uses.iter().flat_map(|(from, used)| used.keys().map(move |to| format!("{from} → {to}")));
        edges.map(|edge| edge.replace("src/", "").replace(".rs", "")).collect()
    }

    #[test]
    fn names_are_followed_to_the_file_that_defines_them() {
        let a = ("src/a/mod.rs", "pub mod b; mod c; pub use c::Deep; pub use self::b::*;");
        let b = ("src/a/b.rs", "pub struct Wide;");
        let c = ("src/a/c.rs", "pub struct Deep;");
        for (source, expected) in [
            ("use crate::a::Deep;", "d → a/c"),
            ("use crate::a::Wide;", "d → a/b"),
            ("fn f() -> crate::a::b::Wide {}", "d → a/b"),
            ("use crate::a; fn f() -> a::Deep {}", "d → a/c"),
            ("use crate::a::{self, b as other}; fn f() -> other::Wide {}", "d → a/b"),
            ("use super::a::b::Wide;", "d → a/b"),
        ] {
            assert_eq!(edges(&[a, b, c, ("src/d.rs", source)]), [expected], "{source}");
        }
        for source in
            ["use crate::a::b;", "use serde::Deep;", "#[cfg(test)] mod tests { use crate::a::Deep; }", "mod a;"]
        {
            assert!(edges(&[a, b, c, ("src/d.rs", source)]).is_empty(), "{source}");
        }
    }

    #[test]
    fn binaries_are_crates_of_their_own() {
        let files = [
            ("src/a.rs", "pub struct A;"),
            ("src/main.rs", "mod cli; use crate::cli::Cli; use provbroker::a::A;"),
            ("src/cli.rs", "pub struct Cli;"),
            ("loadtest/src/main.rs", "mod a; use crate::a::B; use provbroker::a::A;"),
            ("loadtest/src/a.rs", "pub struct B;"),
        ];
        let expected = ["loadtest/main → loadtest/a", "loadtest/main → a", "main → a", "main → cli"];
        assert_eq!(edges(&files), expected);
    }

    #[test]
    fn what_is_handed_on_is_used_only_if_it_is_named_again() {
        let child = ("src/a/b.rs", "use super::A; pub struct B;");
        for (parent, expected) in [
            ("mod b; pub use b::B; pub struct A;", 0),
            ("mod b; pub(crate) use b::B; pub struct A(B);", 1),
            ("mod b; use b::B; pub struct A;", 1),
            ("mod b; pub struct A(b::B);", 1),
        ] {
            let graph = graph(&[("src/a/mod.rs", parent), child]);
            assert_eq!(graph.cycles(|_, _| true).len(), expected, "{parent}");
        }
    }

    #[test]
    fn cycles_are_found() {
        let edges = |list: &[(&'static str, &'static str)]| {
            let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (from, to) in list {
                edges.entry(from).or_default().push(to);
                edges.entry(to).or_default();
            }
            cycles(&edges)
        };
        assert!(edges(&[("a", "b"), ("b", "c"), ("a", "c")]).is_empty());
        assert_eq!(edges(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]), [["b", "c"]]);
        assert_eq!(edges(&[("a", "b"), ("b", "a"), ("c", "d"), ("d", "e"), ("e", "c")]).len(), 2);
    }

    #[test]
    fn imports_against_the_best_order_are_counted() {
        let pairs = |list: &[(&str, &str)]| {
            list.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect::<BTreeSet<_>>()
        };
        assert!(upwards(&pairs(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
        let list = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "a")];
        assert_eq!(upwards(&pairs(&list)), [("c".to_owned(), "a".to_owned())]);
        assert_eq!(upwards(&pairs(&[("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")])).len(), 2);
    }
}
