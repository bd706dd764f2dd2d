//! State that the actor of a connection and the task of its socket share on one thread: the limit for messages, the
//! reason of the end, the bytes that do not count against the send window, and the place of the connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Context;

use tokio::sync::oneshot;

use crate::connection::places::counted;
use crate::connection::table::ConnectionSlot;
use crate::core::policy::places::Standing;
use crate::core::protocol::close::Close;

/// The shared state of one connection.
#[derive(Clone)]
pub struct ConnectionHandle(Rc<Shared>);

#[derive(Default)]
struct Shared {
    /// Longest message allowed now, in bytes; the actor may raise it up to [`super::socket::Bounds::longest`].
    longest: Cell<usize>,
    /// Why the socket side ended the connection, if it did.
    fault: Cell<Option<Close>>,
    /// Bytes not yet written that do not count against [`super::socket::Bounds::window`].
    exempt: Cell<usize>,
    /// Waiters for the time when everything has been written.
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
    /// Capacity of the buffers for a frame that is not complete, and for a message in fragments.
    frame: Cell<usize>,
    message: Cell<usize>,
    counted: Cell<usize>,
    /// The place; free again when the task of the socket and the actor have ended.
    slot: Option<ConnectionSlot>,
}

impl ConnectionHandle {
    /// For a connection without a place, with this initial limit for messages.
    #[cfg(test)]
    pub fn new(longest: usize) -> Self {
        Self(Rc::new(Shared { longest: Cell::new(longest), ..Shared::default() }))
    }

    /// For a connection at this place, with this initial limit for messages.
    pub fn with_slot(longest: usize, slot: ConnectionSlot) -> Self {
        Self(Rc::new(Shared { longest: Cell::new(longest), slot: Some(slot), ..Shared::default() }))
    }

    /// The peer has proved who it is: the connection keeps its place whatever others do.
    pub fn prove(&self) {
        if let Some(slot) = &self.0.slot {
            slot.prove();
        }
    }

    /// What the connection waits for, as long as it has not proved who it is.
    pub fn stands(&self, standing: Standing) {
        if let Some(slot) = &self.0.slot {
            slot.stands(standing);
        }
    }

    /// Whether the connection has to give way to others.
    pub(super) fn poll_evicted(&self, cx: &Context<'_>) -> bool {
        self.0.slot.as_ref().is_some_and(|slot| slot.poll_evicted(cx))
    }

    /// The buffer of the frame that is not complete has this capacity.
    pub(super) fn hold_frame(&self, bytes: usize) {
        if self.0.frame.replace(bytes) != bytes {
            self.weigh();
        }
    }

    /// The buffer of a message in fragments has this capacity.
    pub(super) fn hold_message(&self, bytes: usize) {
        if self.0.message.replace(bytes) != bytes {
            self.weigh();
        }
    }

    fn weigh(&self) {
        let bytes = counted(self.0.frame.get() + self.0.message.get());
        if let Some(slot) = self.0.slot.as_ref().filter(|_| self.0.counted.replace(bytes) != bytes) {
            slot.weigh(bytes);
        }
    }

    /// Sets the longest message allowed from now on.
    pub fn allow(&self, longest: usize) {
        self.0.longest.set(longest);
    }

    /// Why the socket side ended the connection.
    pub fn fault(&self) -> Option<Close> {
        self.0.fault.get()
    }

    /// Longest message allowed now, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.0.longest.get()
    }

    /// Bytes that do not count against the send window.
    pub(super) fn exempted(&self) -> usize {
        self.0.exempt.get()
    }

    /// The socket side ends the connection for this reason.
    pub(super) fn set_fault(&self, close: Close) {
        self.0.fault.set(Some(close));
    }

    /// Exempts this many bytes of what is sent next from the send window, because the actor waits with
    /// [`ConnectionHandle::flushed`] before it sends more of the kind. The time limit for writing applies to them too.
    pub fn exempt(&self, bytes: usize) {
        self.0.exempt.set(self.0.exempt.get() + bytes);
    }

    /// Ends when everything that was sent until now has been written; never, if the connection ends before.
    pub fn flushed(&self) -> impl Future<Output = ()> + use<> {
        let (sender, written) = oneshot::channel();
        self.0.waiting.borrow_mut().push(sender);
        async move {
            if written.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Everything has been written.
    pub(super) fn mark_flushed(&self) {
        self.0.exempt.set(0);
        for waiting in self.0.waiting.take() {
            // The receiver may have gone away.
            let _ = waiting.send(());
        }
    }
}
