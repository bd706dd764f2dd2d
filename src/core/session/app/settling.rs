//! When a notice counts as delivered (`docs/protocol/devices-api.md` 2.5).
//!
//! The pong to the ping behind a notice proves that its bytes were read; a further five seconds of open connection stand for
//! their being processed. A client that answers no pings but goes on sending counts as having answered.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::model::ids::{Code, DomainName};
use crate::core::model::time::Tick;

/// The two times of settling.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A ping has to be answered within this time.
    pub answer_within: Duration,
    /// The connection has to stay open for this long after the answer.
    pub stay_open: Duration,
}

/// Notices written with one ping behind them.
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
    /// When the batch is settled, or else given up.
    fn due(&self, patience: Patience) -> Tick {
        let answered_by = self.written + patience.answer_within;
        match (self.pong, self.later_message) {
            (Some(pong), _) => pong + patience.stay_open,
            (None, Some(message)) => (message + patience.stay_open).max(answered_by),
            (None, None) => answered_by,
        }
    }
}

/// The notices of a connection that are not settled.
#[derive(Debug)]
pub struct Settling {
    patience: Patience,
    batches: VecDeque<Batch>,
    tokens: u64,
}

/// What has become of the oldest notices.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They count as delivered.
    Settled(DomainName, Vec<Code>),
    /// Neither pong nor message: the connection is to be closed, the notices stay.
    Silent,
}

impl Settling {
    /// Nothing is on the way.
    pub const fn new(patience: Patience) -> Self {
        Self { patience, batches: VecDeque::new(), tokens: 0 }
    }

    /// Notices have been written; returns the payload of the ping that has to follow.
    pub fn written(&mut self, domain: DomainName, codes: Vec<Code>, now: Tick) -> [u8; 8] {
        self.tokens += 1;
        let token = self.tokens;
        self.batches.push_back(Batch { token, domain, codes, written: now, pong: None, later_message: None });
        token.to_be_bytes()
    }

    /// A pong has come. It answers all pings up to its own, since the bytes before it were read as well.
    pub fn pong(&mut self, payload: &[u8], now: Tick) {
        let Ok(token) = <[u8; 8]>::try_from(payload).map(u64::from_be_bytes) else { return };
        if token <= self.tokens {
            for batch in self.batches.iter_mut().filter(|b| b.token <= token && b.pong.is_none()) {
                batch.pong = Some(now);
            }
        }
    }

    /// A message of the client has come.
    pub fn message(&mut self, now: Tick) {
        for batch in self.batches.iter_mut().filter(|b| b.later_message.is_none()) {
            batch.later_message = Some(now);
        }
    }

    /// When to look again.
    pub fn deadline(&self) -> Option<Tick> {
        self.batches.iter().map(|b| b.due(self.patience)).min()
    }

    /// Takes out what is due.
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
        Settling::new(Patience { answer_within: Duration::from_secs(30), stay_open: Duration::from_secs(5) })
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
    fn a_client_without_pongs_that_goes_on_sending_counts_after_thirty_seconds() {
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
    fn silence_is_no_delivery() {
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
