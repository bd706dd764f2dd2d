//! The structure of the program, held by a test that reads every source file.
//!
//! * `modules`: which top-level module may use which, and which crates belong where.
//! * `rooms`: which module within `core` may use which.
//! * `cycles`: no files that import each other in a circle.
//! * `names`: no name that the glossary has replaced, and no two types with the same overworked name.
//! * `table`: the figures, printed by `cargo test --test layers -- --ignored --nocapture print`. `LAYERS_ROOT` names
//!   another tree to be counted, so that two of them can be compared.
//!
//! Paths are found in the token stream without comments and texts, so neither an example in a comment nor an imported
//! name can mislead it.

// The helpers of a test are tests: clippy excuses only the functions that are marked.
#![allow(clippy::unwrap_used)]

#[path = "layers/cycles.rs"]
mod cycles;
#[path = "layers/graph.rs"]
mod graph;
#[path = "layers/modules.rs"]
mod modules;
#[path = "layers/names.rs"]
mod names;
#[path = "layers/paths.rs"]
mod paths;
#[path = "layers/rooms.rs"]
mod rooms;
#[path = "layers/table.rs"]
mod table;
#[path = "layers/tree.rs"]
mod tree;
