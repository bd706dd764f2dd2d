//! The figures of the structure, to compare one tree with another.

use std::collections::BTreeSet;

use crate::cycles::{cycles, explained};
use crate::graph::{Graph, upwards};
use crate::rooms::ROOMS;
use crate::tree;

/// What was one module of actors once.
const ACTORS: [&str; 9] = [
    "admission",
    "app_connection",
    "connection",
    "device",
    "mailbox",
    "node",
    "registration",
    "tenant",
    "tenant_cache",
];

/// The name of the file or folder below `under` that a file belongs to.
fn below(file: &str, under: &str) -> Option<String> {
    let inside = file.strip_prefix(under)?;
    let name = inside.split(['/', '.']).next()?;
    (name != "mod").then(|| name.to_owned())
}

fn actors(file: &str) -> Option<String> {
    below(file, "src/actors/").or_else(|| below(file, "src/").filter(|name| ACTORS.contains(&name.as_str())))
}

fn everything(file: &str) -> Option<String> {
    let name = below(file, "src/")?;
    (!matches!(name.as_str(), "lib" | "main" | "cli")).then_some(name)
}

/// The imports between modules that run upwards: in the order of [`ROOMS`] if these are the rooms of `core`, else in
/// the order of the modules that has the fewest of them.
fn run_upwards(pairs: &BTreeSet<(String, String)>) -> Vec<(String, String)> {
    let place = |name: &str| ROOMS.iter().position(|(room, _)| *room == name);
    let places: Option<Vec<(usize, usize)>> = pairs.iter().map(|(from, to)| Some((place(from)?, place(to)?))).collect();
    match places {
        Some(places) => {
            pairs.iter().zip(places).filter(|(_, (from, to))| from < to).map(|(pair, _)| pair.clone()).collect()
        }
        None => upwards(pairs),
    }
}

fn row(graph: &Graph, title: &str, group: impl Fn(&str) -> Option<String>) {
    let modules: BTreeSet<String> = graph.uses.keys().filter_map(|file| group(file)).collect();
    if modules.is_empty() {
        return;
    }
    let pairs = graph.between(&group);
    let upwards = run_upwards(&pairs);
    let circles = cycles(graph);
    let circles: Vec<_> = circles.iter().filter(|cycle| cycle.iter().any(|file| group(file).is_some())).collect();
    let files: usize = circles.iter().map(|cycle| cycle.len()).sum();
    println!(
        "| {title} | {} | {} | {} | {} ({files} files) |",
        modules.len(),
        pairs.len(),
        upwards.len(),
        circles.len()
    );
    for (from, to) in upwards {
        println!("|   upwards: {from} → {to} | | | | |");
    }
}

#[test]
#[ignore = "prints the figures"]
fn print_the_table() {
    let root = tree::root();
    let sources = tree::sources(&root);
    let graph = Graph::new(&sources);
    println!("| part | modules | imports between them | of these upwards | cycles between files |");
    println!("|---|---|---|---|---|");
    row(&graph, "core", |file| below(file, "src/core/"));
    row(&graph, "actors", actors);
    row(&graph, "the whole program", everything);
    row(&graph, "load test", |file| below(file, "loadtest/src/"));
    println!("\nA module is a file or a folder of the part; an import is counted once for each pair of modules.");
    println!("Cycles are those that touch the part, without the imports of a module by its own inner files.\n");
    for cycle in cycles(&graph) {
        println!("cycle of {}", explained(&graph, &cycle));
    }
    println!("Files of more than 600 lines:");
    for line in tree::long_files(&sources) {
        println!("  {line}");
    }
}
