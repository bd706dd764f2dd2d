//! Which app connection receives a notice (`docs/protocol/devices-api.md` 2.5).
//!
//! Pure: the caller says what it knows of each connection that is logged in to the domain, and gets the one to deliver
//! to. How a notice is taken, delivered and settled is in `src/mailbox/`.

use crate::core::model::ids::ConnId;

/// What is known of a connection with regard to one notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The connection.
    pub conn: ConnId,
    /// The names of its log-in are those of the requester of the code.
    pub same_login: bool,
    /// It has requested the code or asked about it.
    pub asked: bool,
    /// It acts as Users.
    pub acts_as_users: bool,
    /// Notices that were delivered to it and are not settled.
    pub unsettled: usize,
}

/// Why a connection may receive a notice; the first reason is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is the connection that requested the code.
    RequestedHere,
    /// Its log-in has the names of the requester.
    SameLogin,
    /// It has asked about the code.
    Asked,
    /// It acts as Users.
    ActsAsUsers,
}

/// Where a notice goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// To this connection.
    Deliver(ConnId),
    /// The connections that are first in rank have as many unsettled notices as they may have: later.
    Busy,
    /// No connection here may receive it.
    Nobody,
}

impl Candidate {
    /// Why the connection may receive the notice, if it may.
    pub const fn reason(&self) -> Option<Reason> {
        match (self.same_login, self.asked) {
            (true, true) => Some(Reason::RequestedHere),
            (true, false) => Some(Reason::SameLogin),
            (false, true) => Some(Reason::Asked),
            (false, false) if self.acts_as_users => Some(Reason::ActsAsUsers),
            (false, false) => None,
        }
    }
}

/// Chooses the recipient of a notice: the best reason decides, within it the fewest unsettled notices, then the oldest
/// connection. `window` is the number of unsettled notices that one connection may have.
pub fn choose(candidates: impl IntoIterator<Item = Candidate>, window: usize) -> Choice {
    let ranked = candidates.into_iter().filter_map(|candidate| Some((candidate.reason()?, candidate)));
    // A connection of a lower rank never takes over what the first in rank is too busy for.
    match ranked.min_by_key(|(reason, of)| (*reason, of.unsettled >= window, of.unsettled, of.conn.0)) {
        Some((_, best)) if best.unsettled >= window => Choice::Busy,
        Some((_, best)) => Choice::Deliver(best.conn),
        None => Choice::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: usize = 2;

    fn candidate(conn: u64) -> Candidate {
        Candidate { conn: ConnId(conn), same_login: false, asked: false, acts_as_users: false, unsettled: 0 }
    }

    fn users(conn: u64) -> Candidate {
        Candidate { acts_as_users: true, ..candidate(conn) }
    }

    fn asked(conn: u64) -> Candidate {
        Candidate { asked: true, ..candidate(conn) }
    }

    fn same_login(conn: u64) -> Candidate {
        Candidate { same_login: true, ..candidate(conn) }
    }

    fn requested_here(conn: u64) -> Candidate {
        Candidate { asked: true, ..same_login(conn) }
    }

    #[test]
    fn the_best_reason_decides() {
        let all = [candidate(1), users(2), asked(3), same_login(4), requested_here(5)];
        for (number, expected) in [(5, 5), (4, 4), (3, 3), (2, 2)] {
            assert_eq!(choose(all[..number].iter().copied(), WINDOW), Choice::Deliver(ConnId(expected)));
        }
        assert_eq!(choose(all[..1].iter().copied(), WINDOW), Choice::Nobody);
        assert_eq!(choose([], WINDOW), Choice::Nobody);
    }

    #[test]
    fn acting_as_users_takes_nothing_away_from_a_better_reason() {
        let both = Candidate { acts_as_users: true, ..asked(9) };
        assert_eq!(both.reason(), Some(Reason::Asked));
        assert_eq!(choose([users(1), both], WINDOW), Choice::Deliver(ConnId(9)));
    }

    #[test]
    fn within_a_rank_the_least_busy_then_the_oldest() {
        let busy = |conn, unsettled| Candidate { unsettled, ..users(conn) };
        assert_eq!(choose([busy(1, 1), busy(3, 0), busy(2, 0)], WINDOW), Choice::Deliver(ConnId(2)));
        assert_eq!(choose([busy(1, 2), busy(2, 1)], WINDOW), Choice::Deliver(ConnId(2)));
    }

    #[test]
    fn a_busy_first_rank_is_waited_for() {
        let full = Candidate { unsettled: WINDOW, ..requested_here(1) };
        assert_eq!(choose([full, users(2)], WINDOW), Choice::Busy);
        assert_eq!(choose([full, requested_here(2)], WINDOW), Choice::Deliver(ConnId(2)));
    }
}
