//! Simulated phones and service clients.

fn main() {}
