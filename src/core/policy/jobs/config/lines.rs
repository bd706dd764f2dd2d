//! `raw`: lines of the script language, checked one by one.
//!
//! Any command of the device is allowed; one that the language defines must be well-formed. Not allowed are commands
//! that only make sense in a script that the device fetches, and those that would restart the device in the middle of
//! its configuration.

use super::schema::Problem;
use crate::core::protocol::script::Command;

/// Longest text, in bytes.
pub const TEXT_MAX: usize = 32 * 1024;
/// Longest line, in bytes (`docs/protocol/update-script.md` section 2).
const LINE_MAX: usize = 1999;
/// Most lines.
const LINES_MAX: usize = 200;

/// Checks that every line may be sent.
pub(super) fn check(text: &str) -> Result<(), Problem> {
    if text.lines().count() > LINES_MAX {
        return Err(Problem::Form("at most 200 lines"));
    }
    let wrong = text.lines().enumerate().find_map(|(at, line)| Some(Problem::Line(at + 1, fault(line)?)));
    match wrong {
        Some(problem) => Err(problem),
        None if commands(text).next().is_none() => Err(Problem::Form("at least one command")),
        None => Ok(()),
    }
}

/// The commands to be sent.
pub(super) fn commands(text: &str) -> impl Iterator<Item = Command> {
    let read = text.lines().filter_map(Command::parse);
    read.filter(|command| !matches!(command, Command::Comment(_) | Command::ConfigWrite | Command::ConfigActivate))
}

fn fault(line: &str) -> Option<&'static str> {
    if line.len() > LINE_MAX {
        return Some("is longer than 1999 bytes");
    }
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Some("has control characters");
    }
    match Command::parse(line)? {
        Command::Unknown(text) if text.starts_with('!') => Some("begins with !, which is not part of the language"),
        Command::Unknown(text) if is_known(&text) => Some("is not understood"),
        Command::Prot(_) | Command::Boot(_) => Some("orders software, which is the work of update jobs"),
        Command::Check { .. } | Command::Times { .. } => Some("has a meaning only in a script that the device fetches"),
        Command::Finish(_) => Some("restarts the device in the middle of its configuration"),
        _ => None,
    }
}

/// Whether the line begins like a command of the language, and so must be one.
fn is_known(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().take(4).collect();
    match words[..] {
        ["vars" | "config", ..] => true,
        ["mod", "cmd", "UP0", order, ..] => ["prot", "boot", "scfg"].contains(&order),
        ["mod", "cmd", "UP1", order, ..] => ["check", "times", "provision", "setvar"].contains(&order),
        _ => false,
    }
}
