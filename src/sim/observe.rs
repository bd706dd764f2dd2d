//! Sends events to an observer without ever blocking.

use tokio::sync::mpsc;

/// Bound of the channel.
pub const WAITING_EVENTS: usize = 1024;

/// The sending side of an observer channel.
#[derive(Debug)]
pub struct EventSender<E> {
    sender: mpsc::Sender<E>,
    missed: u64,
    missed_event: fn(u64) -> E,
}

impl<E> EventSender<E> {
    /// A channel of [`WAITING_EVENTS`]. If the observer is too slow, events are dropped, and `missed_event` reports
    /// their number as soon as there is room.
    pub fn new(missed_event: fn(u64) -> E) -> (Self, mpsc::Receiver<E>) {
        let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
        (Self { sender, missed: 0, missed_event }, receiver)
    }

    /// Sends an event, or counts it as missed.
    pub fn send(&mut self, event: E) {
        if self.missed > 0 && self.sender.try_send((self.missed_event)(self.missed)).is_ok() {
            self.missed = 0;
        }
        // A closed channel means that nobody observes.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(event) {
            self.missed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Event {
        Number(usize),
        Missed(u64),
    }

    #[test]
    fn a_slow_observer_learns_how_much_it_missed() {
        let (mut sender, mut events) = EventSender::new(Event::Missed);
        for n in 0..WAITING_EVENTS + 5 {
            sender.send(Event::Number(n));
        }
        for n in 0..WAITING_EVENTS {
            assert_eq!(events.try_recv(), Ok(Event::Number(n)));
        }
        sender.send(Event::Number(7));
        assert_eq!(events.try_recv(), Ok(Event::Missed(5)));
        assert_eq!(events.try_recv(), Ok(Event::Number(7)));
    }
}
