//! Decides when a notice counts as delivered (`docs/protocol/devices-api.md` 2.5).
//!
//! The pong to the ping after a notice proves that its bytes were read; five more seconds of open connection stand for
//! processing it. A client that answers no pings but goes on sending counts as having answered.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::Tick;

/// The two times that decide about settling.
#[derive(Debug, Clone, Copy)]
pub struct SettleTimes {
    /// Time limit for the pong.
    pub answer_within: Duration,
    /// The connection has to stay open for this long after the pong.
    pub stay_open: Duration,
}

/// Notices sent together, with one ping after them.
#[derive(Debug)]
struct Batch {
    token: u64,
    domain: DomainName,
    codes: Vec<Code>,
    written: Tick,
    pong: Option<Tick>,
    later_message: Option<Tick>,
}

impl Batch {
    /// When the batch is settled, or given up without an answer.
    fn due(&self, patience: SettleTimes) -> Tick {
        let answered_by = self.written + patience.answer_within;
        match (self.pong, self.later_message) {
            (Some(pong), _) => pong + patience.stay_open,
            (None, Some(message)) => (message + patience.stay_open).max(answered_by),
            (None, None) => answered_by,
        }
    }
}

/// The notices of a connection that are not settled yet.
#[derive(Debug)]
pub struct Settling {
    patience: SettleTimes,
    batches: VecDeque<Batch>,
    tokens: u64,
}

/// What has become of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its notices count as delivered.
    Settled(DomainName, Vec<Code>),
    /// Neither pong nor message: the connection has to be closed, the notices stay in the mailbox.
    Silent,
}

impl Settling {
    /// No notice sent yet.
    pub const fn new(patience: SettleTimes) -> Self {
        Self { patience, batches: VecDeque::new(), tokens: 0 }
    }

    /// Records notices that were sent; returns the payload of the ping that has to follow.
    pub fn written(&mut self, domain: DomainName, codes: Vec<Code>, now: Tick) -> [u8; 8] {
        self.tokens += 1;
        let token = self.tokens;
        self.batches.push_back(Batch { token, domain, codes, written: now, pong: None, later_message: None });
        token.to_be_bytes()
    }

    /// Handles a pong. It answers all pings up to its own, since the bytes before it were read as well.
    pub fn pong(&mut self, payload: &[u8], now: Tick) {
        let Ok(token) = <[u8; 8]>::try_from(payload).map(u64::from_be_bytes) else { return };
        if token <= self.tokens {
            for batch in self.batches.iter_mut().filter(|b| b.token <= token && b.pong.is_none()) {
                batch.pong = Some(now);
            }
        }
    }

    /// Handles any message of the client.
    pub fn message(&mut self, now: Tick) {
        for batch in self.batches.iter_mut().filter(|b| b.later_message.is_none()) {
            batch.later_message = Some(now);
        }
    }

    /// When [`Settling::next`] has to be called.
    pub fn deadline(&self) -> Option<Tick> {
        self.batches.iter().map(|b| b.due(self.patience)).min()
    }

    /// Removes a batch that is due.
    pub fn next(&mut self, now: Tick) -> Option<Outcome> {
        let at = self.batches.iter().position(|b| b.due(self.patience) <= now)?;
        let batch = self.batches.remove(at)?;
        if batch.pong.is_none() && batch.later_message.is_none() {
            return Some(Outcome::Silent);
        }
        Some(Outcome::Settled(batch.domain, batch.codes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settling() -> Settling {
        Settling::new(SettleTimes { answer_within: Duration::from_secs(30), stay_open: Duration::from_secs(5) })
    }

    fn at(seconds: u64) -> Tick {
        Tick(seconds * 1000)
    }

    fn one(settling: &mut Settling, number: u64, now: Tick) -> [u8; 8] {
        settling.written(DomainName::parse("d").unwrap(), vec![Code::from_number(number).unwrap()], now)
    }

    fn settled(number: u64) -> Outcome {
        Outcome::Settled(DomainName::parse("d").unwrap(), vec![Code::from_number(number).unwrap()])
    }

    #[test]
    fn a_pong_and_five_more_seconds_settle() {
        let mut settling = settling();
        let token = one(&mut settling, 1, at(0));
        settling.pong(&token, at(3));
        assert_eq!(settling.deadline(), Some(at(8)));
        assert_eq!(settling.next(Tick(7_999)), None);
        assert_eq!(settling.next(at(8)), Some(settled(1)));
        assert_eq!(settling.deadline(), None);
    }

    #[test]
    fn a_client_that_sends_without_pongs_settles_after_thirty_seconds() {
        let mut settling = settling();
        one(&mut settling, 1, at(0));
        settling.message(at(2));
        assert_eq!(settling.next(at(29)), None);
        assert_eq!(settling.next(at(30)), Some(settled(1)));
        one(&mut settling, 2, at(100));
        settling.message(at(129));
        assert_eq!(settling.next(at(130)), None);
        assert_eq!(settling.next(at(134)), Some(settled(2)));
    }

    #[test]
    fn a_silent_client_settles_nothing() {
        let mut settling = settling();
        one(&mut settling, 1, at(0));
        settling.pong(b"foreign", at(1));
        settling.pong(&99_u64.to_be_bytes(), at(1));
        assert_eq!(settling.next(at(30)), Some(Outcome::Silent));
    }

    #[test]
    fn a_later_pong_answers_for_the_earlier_pings() {
        let mut settling = settling();
        one(&mut settling, 1, at(0));
        let second = one(&mut settling, 2, at(1));
        settling.pong(&second, at(2));
        assert_eq!(settling.next(at(7)), Some(settled(1)));
        assert_eq!(settling.next(at(7)), Some(settled(2)));
    }
}
