//! Arguments, configuration, exit code.

fn main() {}
