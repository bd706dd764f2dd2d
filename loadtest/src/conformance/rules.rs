//! The list of the rules: `docs/protocol/rules.md`.

use std::fmt;

use serde::Serialize;

const TABLE: &str = include_str!("../../../docs/protocol/rules.md");

/// What a rule rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Published by the vendor.
    Documented,
    /// Seen in deployed clients or samples.
    Observed,
    /// Our own decision.
    Ours,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Documented => "[D]",
            Self::Observed => "[O]",
            Self::Ours => "[ours]",
        })
    }
}

/// A rule of the protocol texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Text, section and letter: `sysclient-3.2-a`.
    pub id: &'static str,
    /// What it says.
    pub sentence: &'static str,
    /// What it rests on.
    pub mark: Mark,
    /// The tests that hold it; empty if this program checks it.
    pub tests: &'static str,
}

impl Rule {
    /// Whether this program checks it.
    pub const fn is_checked(&self) -> bool {
        self.tests.is_empty()
    }
}

/// All rules, in the order of the list.
pub fn rules() -> Vec<Rule> {
    TABLE.lines().filter_map(row).collect()
}

fn row(line: &'static str) -> Option<Rule> {
    let cells: Vec<&str> = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ").collect();
    let [id, sentence, mark, how] = cells[..] else { return None };
    let mark = match mark {
        "[D]" => Mark::Documented,
        "[O]" => Mark::Observed,
        "[ours]" => Mark::Ours,
        _ => return None,
    };
    let tests = if how == "`conformance`" { "" } else { how };
    Some(Rule { id: id.strip_suffix('`')?, sentence, mark, tests })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::checks;
    use super::*;

    #[test]
    fn every_row_is_read() {
        let rows = TABLE.lines().filter(|line| line.starts_with("| `")).count();
        let rules = rules();
        assert_eq!(rules.len(), rows);
        assert!(rows > 100, "{rows}");
        assert_eq!(rules.iter().map(|rule| rule.id).collect::<BTreeSet<_>>().len(), rows, "none twice");
    }

    #[test]
    fn every_rule_to_check_has_one_check_and_every_check_its_rules() {
        let judged: Vec<&str> = checks().flat_map(|check| check.rules.iter().copied()).collect();
        let once: BTreeSet<&str> = judged.iter().copied().collect();
        let twice: Vec<_> = once.iter().filter(|id| judged.iter().filter(|its| its == id).count() > 1).collect();
        assert!(twice.is_empty(), "checked twice: {twice:?}");
        let listed: BTreeSet<&str> = rules().iter().filter(|rule| rule.is_checked()).map(|rule| rule.id).collect();
        let missing: Vec<_> = listed.difference(&once).collect();
        let unknown: Vec<_> = once.difference(&listed).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "without a check: {missing:?}, not listed: {unknown:?}");
    }
}
