//! Live progress: one line on a terminal, nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar that counts registrations.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar for this many registrations, drawn only if standard error is a terminal.
    pub fn start(what: &str, registrations: usize) -> Self {
        let bar = ProgressBar::new(registrations as u64);
        if let Ok(style) = ProgressStyle::with_template("{prefix:>18} {wide_bar} {pos}/{len} {elapsed} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Updates the bar.
    pub fn show(&self, registered: u64, failed: u64, open: u64, p99: Option<f64>) {
        self.0.set_position(registered);
        let p99 = p99.map(|ms| format!(", p99 {ms:.0} ms")).unwrap_or_default();
        self.0.set_message(format!("{open} open, {failed} failed{p99}"));
    }

    /// Shows the current phase.
    pub fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
