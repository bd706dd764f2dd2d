//! Passes signals to the subscribers of this process. A slow subscriber never blocks the publisher: it gets a
//! [`Signal::Gap`] in place of the signals that it missed.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use super::Signal;

/// Signals that are queued for one subscriber before it gets a gap.
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
        // One place more than queued signals: it is kept free for the gap.
        let (to, from) = mpsc::channel(WAITING + 1);
        self.lock().push(Subscriber { to, overflowed: false });
        from
    }

    /// Sends a signal to every subscriber.
    pub fn send(&self, signal: &Signal) {
        self.lock().retain_mut(|subscriber| subscriber.send(signal));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Subscriber>> {
        // A panic elsewhere leaves the list of senders consistent.
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// False when the subscriber has dropped its receiver.
    fn send(&mut self, signal: &Signal) -> bool {
        if self.to.is_closed() {
            return false;
        }
        // All senders hold the lock, so the capacity that is seen here is still there below.
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
    fn a_full_subscriber_gets_a_gap_and_does_not_block_the_publisher() {
        let fanout = Fanout::default();
        let mut slow = fanout.subscribe();
        let mail = Signal::Mail { domain: DomainName::parse("example.com").unwrap(), code: None };
        for _ in 0..WAITING + 5 {
            fanout.send(&mail);
        }
        for _ in 0..WAITING {
            assert_eq!(slow.try_recv().unwrap(), mail);
        }
        assert_eq!(slow.try_recv().unwrap(), Signal::Gap);
        assert!(slow.try_recv().is_err());
        fanout.send(&mail);
        assert_eq!(slow.try_recv().unwrap(), mail);
        drop(slow);
        fanout.send(&mail);
        assert!(fanout.lock().is_empty());
    }
}
