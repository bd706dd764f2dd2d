//! Lines with the time since the start, for people.

use std::time::Duration;

use tokio::time::Instant;

/// Prints what happens, each line with the seconds since the start.
pub struct Timeline(Instant);

impl Timeline {
    /// The start.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Prints a line.
    pub fn print(&self, text: &str) {
        println!("{} {text}", seconds(self.0.elapsed()));
    }
}

fn seconds(elapsed: Duration) -> String {
    format!("{:>8.2} s ", elapsed.as_secs_f64())
}
