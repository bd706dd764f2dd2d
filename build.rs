//! Passes the version of the compiler to the crate, for the metric `provbroker_build_info`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("--version").output();
    let output = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    // `rustc 1.90.0 (1159e78c4 2025-09-14)`
    let version = output.split_whitespace().nth(1).unwrap_or("unknown");
    println!("cargo::rustc-env=PROVBROKER_RUSTC={version}");
}
