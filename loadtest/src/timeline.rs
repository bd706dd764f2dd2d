//! Output lines with the time since the start.

use std::time::Duration;

use tokio::time::Instant;

/// Prints lines with the seconds since the start.
pub struct Timeline(Instant);

impl Timeline {
    /// Starts the clock.
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
