//! State that the actor of a connection and the task of its socket share on one thread: the limit for messages, the
//! reason of the end, and the bytes that do not count against the send window.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::oneshot;

use crate::core::protocol::close::Close;

/// The shared state of one connection.
#[derive(Debug, Clone)]
pub struct ConnectionHandle(Rc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Longest message allowed now, in bytes; the actor may raise it up to [`super::socket::Bounds::longest`].
    longest: Cell<usize>,
    /// Why the socket side ended the connection, if it did.
    fault: Cell<Option<Close>>,
    /// Bytes not yet written that do not count against [`super::socket::Bounds::window`].
    exempt: Cell<usize>,
    /// Waiters for the time when everything has been written.
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
}

impl ConnectionHandle {
    /// For a connection with this initial limit for messages.
    pub fn new(longest: usize) -> Self {
        Self(Rc::new(Shared { longest: Cell::new(longest), ..Shared::default() }))
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
