//! No files that import each other in a circle.
//!
//! The rule: file A imports file B if A names something that B defines, by a `use` or by a path in code. A re-export
//! (`pub use`) is followed to the file that defines the name, and is itself an import only if its file names it again.
//! `mod child;` is no import, neither is what stands under `#[cfg(test)]`, and a method that is called is not looked
//! for.
//!
//! One direction does not count: a file that names something of a module that it belongs to, as in `use super::Type`.
//! A module and the files that it is split into are one thing from outside, and Rust lets the inner files see what is
//! private in it. All other imports count, also those of a module from its own inner files.

use std::path::Path;

use crate::graph::{Graph, is_no_ancestor};
use crate::tree::{self, Sources};

/// The cycles between the files of a tree.
pub fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    graph.cycles(is_no_ancestor)
}

/// A cycle with what ties it, a line for each import.
pub fn explained(graph: &Graph, cycle: &[String]) -> String {
    let mut lines = format!("{} files: {}\n", cycle.len(), cycle.join(", "));
    for from in cycle {
        for (to, names) in graph.uses[from].iter().filter(|(to, _)| cycle.contains(to) && is_no_ancestor(from, to)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            lines += &["  ", from, " → ", to, ": ", &names.join(", "), "\n"].concat();
        }
    }
    lines
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let graph = Graph::new(&tree::sources(Path::new(env!("CARGO_MANIFEST_DIR"))));
    let found: Vec<String> = cycles(&graph).iter().map(|cycle| explained(&graph, cycle)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_cycle_is_found_and_explained() {
    let sources = |files: &[(&str, &str)]| -> Sources {
        files.iter().map(|(file, source)| ((*file).to_owned(), (*source).to_owned())).collect()
    };
    let found = |files: &[(&str, &str)]| {
        let graph = Graph::new(&sources(files));
        cycles(&graph).iter().map(|cycle| explained(&graph, cycle)).collect::<Vec<_>>()
    };
    let b = ("src/b.rs", "pub struct B(crate::c::C);");
    let c = ("src/c.rs", "pub struct C; fn f(_: &crate::a::A) {}");
    let circle = found(&[("src/a.rs", "use crate::b::B; pub struct A(B);"), b, c]);
    assert_eq!(circle.len(), 1);
    assert!(circle[0].contains("src/c.rs → src/a.rs: A"), "{}", circle[0]);
    assert!(found(&[("src/a.rs", "pub struct A;"), b, c]).is_empty());

    // A module and its own files.
    let inner = ("src/a/inner.rs", "use super::A; pub struct Inner(A);");
    assert!(found(&[("src/a/mod.rs", "mod inner; pub struct A(inner::Inner);"), inner]).is_empty());
    let brothers = [
        ("src/a/mod.rs", "mod one; mod two; pub use one::One; pub use two::Two;"),
        ("src/a/one.rs", "use super::Two; pub struct One;"),
        ("src/a/two.rs", "use super::One; pub struct Two;"),
    ];
    assert_eq!(found(&brothers).len(), 1, "through a re-export");
}
