//! What a check finds out, rule by rule.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Display};
use std::io;
use std::rc::Rc;

use serde_json::Value;

/// How many messages of a check are remembered.
const REMEMBERED: usize = 12;

/// Most bytes of a message that are shown.
const SHOWN: usize = 400;

/// Members whose values are not shown.
const SECRET: [&str; 4] = ["digest", "key", "password", "pwd"];

/// Something else came than what a check needs to go on.
#[derive(Debug)]
pub struct Unexpected(pub String);

impl Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Unexpected {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Unexpected {
    fn from(what: String) -> Self {
        Self(what)
    }
}

impl From<&str> for Unexpected {
    fn from(what: &str) -> Self {
        Self(what.to_owned())
    }
}

/// A step of a check.
pub type Step<T = ()> = Result<T, Unexpected>;

/// The last messages of a check, shared by its connections.
#[derive(Debug, Clone, Default)]
pub struct Transcript(Rc<RefCell<VecDeque<String>>>);

impl Transcript {
    /// A message was sent.
    pub fn sent(&self, what: impl Display) {
        self.push(format!("→ {what}"));
    }

    /// A message came.
    pub fn came(&self, what: impl Display) {
        self.push(format!("← {what}"));
    }

    fn push(&self, mut line: String) {
        if let Some((at, _)) = line.char_indices().nth(SHOWN) {
            line.truncate(at);
            line.push('…');
        }
        let mut lines = self.0.borrow_mut();
        if lines.len() == REMEMBERED {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.borrow().iter().cloned().collect()
    }
}

/// JSON without the values of secrets.
pub fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let shown = |(name, value): (&String, &Value)| {
                let hidden = SECRET.contains(&name.as_str()) && value.is_string();
                (name.clone(), if hidden { "…".into() } else { without_secrets(value) })
            };
            Value::Object(members.iter().map(shown).collect())
        }
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        other => other.clone(),
    }
}

/// What is known of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was observed to hold.
    Holds,
    /// It was observed not to hold.
    Fails {
        /// What came instead.
        came: String,
        /// The last messages, the newest last.
        messages: Vec<String>,
    },
    /// The check needs something that was not given.
    Skipped(String),
    /// The check ended before it.
    NotObserved(String),
}

/// The verdicts of a check.
#[derive(Debug, Default)]
pub struct Findings {
    current: Option<&'static str>,
    verdicts: BTreeMap<&'static str, Verdict>,
    /// The messages of its connections.
    pub transcript: Transcript,
}

impl Findings {
    /// From here on this rule is judged: it holds if the check comes to the next one, and fails if a step fails.
    pub fn rule(&mut self, id: &'static str) {
        self.hold_current();
        self.current = Some(id);
    }

    /// What follows prepares the next rule and judges none.
    pub fn prepare(&mut self) {
        self.hold_current();
    }

    /// Judges a rule by a condition, and goes on in any case.
    pub fn judge(&mut self, id: &'static str, holds: bool, came: impl Display) {
        if holds {
            self.verdicts.entry(id).or_insert(Verdict::Holds);
        } else {
            self.fail(id, came.to_string());
        }
    }

    /// A rule cannot be observed at this server.
    pub fn skip(&mut self, id: &'static str, reason: impl Display) {
        self.verdicts.insert(id, Verdict::Skipped(reason.to_string()));
    }

    fn fail(&mut self, id: &'static str, came: String) {
        self.verdicts.insert(id, Verdict::Fails { came, messages: self.transcript.lines() });
    }

    fn hold_current(&mut self) {
        if let Some(id) = self.current.take() {
            self.verdicts.entry(id).or_insert(Verdict::Holds);
        }
    }

    /// The end of the check, which was to judge these rules.
    pub fn finish(mut self, rules: &'static [&'static str], end: Step) -> BTreeMap<&'static str, Verdict> {
        let mut reason = "the check has not judged it".to_owned();
        match end {
            Ok(()) => self.hold_current(),
            Err(what) => {
                reason = what.to_string();
                if let Some(id) = self.current.take() {
                    self.fail(id, what.0);
                    reason = format!("the check ended at {id}");
                }
            }
        }
        for id in rules {
            self.verdicts.entry(id).or_insert_with(|| Verdict::NotObserved(reason.clone()));
        }
        self.verdicts
    }
}

/// A step that fails unless the condition holds.
pub fn ensure(holds: bool, came: impl FnOnce() -> String) -> Step {
    if holds { Ok(()) } else { Err(Unexpected(came())) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RULES: &[&str] = &["a", "b", "c", "d"];

    #[test]
    fn a_failed_step_fails_its_rule_and_leaves_the_later_ones_open() {
        let mut findings = Findings::default();
        findings.judge("d", false, "two");
        findings.rule("a");
        findings.rule("b");
        findings.transcript.sent("x");
        let found = findings.finish(RULES, Err("nothing".into()));
        assert_eq!(found["a"], Verdict::Holds);
        assert_eq!(found["b"], Verdict::Fails { came: "nothing".into(), messages: vec!["→ x".into()] });
        assert_eq!(found["c"], Verdict::NotObserved("the check ended at b".into()));
        assert!(matches!(&found["d"], Verdict::Fails { came, .. } if came == "two"));
    }

    #[test]
    fn a_rule_that_has_failed_once_stays_so() {
        let mut findings = Findings::default();
        findings.judge("a", false, "x");
        findings.judge("a", true, "y");
        findings.rule("a");
        assert!(matches!(findings.finish(RULES, Ok(()))["a"], Verdict::Fails { .. }));
    }

    #[test]
    fn a_step_that_judges_nothing_fails_nothing() {
        let mut findings = Findings::default();
        findings.rule("a");
        findings.prepare();
        let found = findings.finish(RULES, Err("no code".into()));
        assert_eq!((&found["a"], &found["b"]), (&Verdict::Holds, &Verdict::NotObserved("no code".into())));
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = without_secrets(&json!({"password": "p", "list": [{"key": "k", "id": 1}]}));
        assert_eq!(shown, json!({"password": "…", "list": [{"key": "…", "id": 1}]}));
    }
}
