//! The verdicts as a table and as JSON, and the exit code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::finding::Verdict;
use super::rules::{Mark, Rule};

/// All published rules that could be observed hold, and so do ours.
pub const ALL_HOLD: u8 = 0;
/// A rule that is documented or observed fails.
pub const PUBLISHED_FAILS: u8 = 1;
/// Only rules of ours fail.
pub const OURS_FAIL: u8 = 3;
/// Nothing fails, but not everything that should be observed could be; or the server could not be reached.
pub const NOT_OBSERVED: u8 = 4;

/// Verdicts of all rules.
pub struct Report {
    rows: Vec<(Rule, Option<Verdict>)>,
    seconds: f64,
}

impl Report {
    /// Rules in the order of the list; those without a verdict are held by tests.
    pub fn new(rules: Vec<Rule>, mut verdicts: BTreeMap<&'static str, Verdict>, seconds: f64) -> Self {
        let rows = rules.into_iter().map(|rule| {
            let verdict = verdicts.remove(rule.id);
            (rule, verdict)
        });
        Self { rows: rows.collect(), seconds }
    }

    fn count(&self, of: impl Fn(&Rule, Option<&Verdict>) -> bool) -> usize {
        self.rows.iter().filter(|(rule, verdict)| of(rule, verdict.as_ref())).count()
    }

    fn failed(&self, of: impl Fn(Mark) -> bool) -> usize {
        self.count(|rule, verdict| of(rule.mark) && matches!(verdict, Some(Verdict::Fails { .. })))
    }

    /// The exit code of the program.
    pub fn exit_code(&self) -> u8 {
        if self.failed(|mark| mark != Mark::Ours) > 0 {
            PUBLISHED_FAILS
        } else if self.failed(|mark| mark == Mark::Ours) > 0 {
            OURS_FAIL
        } else if self.count(|_, verdict| matches!(verdict, Some(Verdict::NotObserved(_)))) > 0 {
            NOT_OBSERVED
        } else {
            ALL_HOLD
        }
    }

    /// For the terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let published = |(rule, _): &&(Rule, Option<Verdict>)| rule.mark != Mark::Ours;
        let ours = |row: &&(Rule, Option<Verdict>)| !published(row);
        section(&mut text, "Published: documented [D] or observed [O]", self.rows.iter().filter(published));
        section(&mut text, "Ours: may differ without breaking conformity", self.rows.iter().filter(ours));
        let holds = self.count(|_, verdict| verdict == Some(&Verdict::Holds));
        let skipped = self.count(|_, verdict| matches!(verdict, Some(Verdict::Skipped(_))));
        let open = self.count(|_, verdict| matches!(verdict, Some(Verdict::NotObserved(_))));
        let elsewhere = self.count(|_, verdict| verdict.is_none());
        let (published, ours) = (self.failed(|mark| mark != Mark::Ours), self.failed(|mark| mark == Mark::Ours));
        let _ = writeln!(
            text,
            "\n{} rules in {:.0} s: {holds} hold, {published} published and {ours} of ours fail, {skipped} skipped, \
             {open} not observed, {elsewhere} held by tests",
            self.rows.len(),
            self.seconds
        );
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(rule, verdict)| {
            let mut row = json!({"id": rule.id, "rule": rule.sentence, "mark": rule.mark});
            match verdict {
                None => row["tests"] = rule.tests.replace('`', "").into(),
                Some(Verdict::Holds) => {}
                Some(Verdict::Fails { came, messages }) => {
                    row["came"] = came.as_str().into();
                    row["messages"] = messages.as_slice().into();
                }
                Some(Verdict::Skipped(reason) | Verdict::NotObserved(reason)) => row["reason"] = reason.as_str().into(),
            }
            row["result"] = word(verdict.as_ref()).into();
            row
        });
        json!({"seconds": self.seconds, "exitCode": self.exit_code(), "rules": rows.collect::<Vec<_>>()})
    }
}

const fn word(verdict: Option<&Verdict>) -> &'static str {
    match verdict {
        None => "test",
        Some(Verdict::Holds) => "holds",
        Some(Verdict::Fails { .. }) => "FAILS",
        Some(Verdict::Skipped(_)) => "skipped",
        Some(Verdict::NotObserved(_)) => "not observed",
    }
}

fn section<'a>(text: &mut String, title: &str, rows: impl Iterator<Item = &'a (Rule, Option<Verdict>)>) {
    let _ = writeln!(text, "\n{title}\n");
    for (rule, verdict) in rows {
        let said = match verdict {
            None => rule.tests.replace('`', ""),
            Some(Verdict::Skipped(reason) | Verdict::NotObserved(reason)) => reason.clone(),
            Some(_) => rule.sentence.replace('`', ""),
        };
        let _ = writeln!(text, "{:<12} {:<20} {:<6} {said}", word(verdict.as_ref()), rule.id, rule.mark);
        if let Some(Verdict::Fails { came, messages }) = verdict {
            let _ = writeln!(text, "    came: {came}");
            for message in messages {
                let _ = writeln!(text, "    {message}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_code(verdicts: [Verdict; 2]) -> u8 {
        let rule = |id, mark| Rule { id, sentence: "it does so", mark, tests: "" };
        let rules = vec![rule("a", Mark::Documented), rule("b", Mark::Ours)];
        let [a, b] = verdicts;
        Report::new(rules, [("a", a), ("b", b)].into(), 1.0).exit_code()
    }

    #[test]
    fn published_rules_go_before_ours_and_failures_before_what_is_open() {
        let fails = || Verdict::Fails { came: "x".into(), messages: Vec::new() };
        let (open, skipped) = (|| Verdict::NotObserved("x".into()), || Verdict::Skipped("x".into()));
        assert_eq!(exit_code([Verdict::Holds, skipped()]), ALL_HOLD);
        assert_eq!(exit_code([fails(), fails()]), PUBLISHED_FAILS);
        assert_eq!(exit_code([open(), fails()]), OURS_FAIL);
        assert_eq!(exit_code([Verdict::Holds, open()]), NOT_OBSERVED);
    }

    #[test]
    fn a_failure_says_what_was_sent_expected_and_received() {
        let rules = vec![Rule { id: "a", sentence: "it says `b`", mark: Mark::Observed, tests: "" }];
        let messages = vec!["→ a".to_owned(), "← c".to_owned()];
        let text = Report::new(rules, [("a", Verdict::Fails { came: "c".into(), messages })].into(), 1.0).text();
        assert!(text.contains("it says b\n    came: c\n    → a\n    ← c\n"), "{text}");
    }
}
