//! Hands signals to the subscribers of this process. A slow subscriber never holds up the publisher: it gets a
//! [`Signal::Gap`] in place of what it missed.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use super::Signal;

/// Signals that wait for one subscriber before it is told of a gap.
const WAITING: usize = 1024;

struct Subscriber {
    to: mpsc::Sender<Signal>,
    overflowed: bool,
}

/// The subscribers of one store.
#[derive(Default)]
pub(super) struct Fanout {
    subscribers: Mutex<Vec<Subscriber>>,
}

impl Fanout {
    /// A receiver of everything from now on.
    pub fn subscribe(&self) -> mpsc::Receiver<Signal> {
        // One place more than signals: it is kept free for the gap.
        let (to, from) = mpsc::channel(WAITING + 1);
        self.lock().push(Subscriber { to, overflowed: false });
        from
    }

    /// Tells every subscriber.
    pub fn tell(&self, signal: &Signal) {
        self.lock().retain_mut(|subscriber| subscriber.tell(signal));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Subscriber>> {
        // A list of senders is whole whatever a panicking thread was doing.
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// False when the subscriber is gone.
    fn tell(&mut self, signal: &Signal) -> bool {
        if self.to.is_closed() {
            return false;
        }
        // Only this lock sends, so the room that is seen here is still there below.
        if self.to.capacity() > 1 {
            self.overflowed = false;
            return self.to.try_send(signal.clone()).is_ok();
        }
        if !self.overflowed {
            self.overflowed = true;
            return self.to.try_send(Signal::Gap).is_ok();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::DomainName;

    #[test]
    fn a_full_subscriber_is_told_of_the_gap_and_holds_nobody_up() {
        let fanout = Fanout::default();
        let mut slow = fanout.subscribe();
        let mail = Signal::Mail { domain: DomainName::parse("example.com").unwrap(), code: None };
        for _ in 0..WAITING + 5 {
            fanout.tell(&mail);
        }
        for _ in 0..WAITING {
            assert_eq!(slow.try_recv().unwrap(), mail);
        }
        assert_eq!(slow.try_recv().unwrap(), Signal::Gap);
        assert!(slow.try_recv().is_err());
        fanout.tell(&mail);
        assert_eq!(slow.try_recv().unwrap(), mail);
        drop(slow);
        fanout.tell(&mail);
        assert!(fanout.lock().is_empty());
    }
}
