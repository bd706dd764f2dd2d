//! What the actor of a connection and the task of its socket tell each other.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::oneshot;

use crate::core::protocol::close::Close;

/// What actor and socket task tell each other about one connection.
#[derive(Debug, Clone)]
pub struct ConnectionHandle(Rc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Longest message allowed now, in bytes; the actor may raise it up to [`super::socket::Bounds::longest`].
    longest: Cell<usize>,
    /// Why the socket side ended the connection, if it did.
    fault: Cell<Option<Close>>,
    /// Bytes on the way that do not count against [`super::socket::Bounds::window`].
    paced: Cell<usize>,
    /// Who waits until everything has left.
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
}

impl ConnectionHandle {
    /// A line with this limit for messages to begin with.
    pub fn new(longest: usize) -> Self {
        Self(Rc::new(Shared { longest: Cell::new(longest), ..Shared::default() }))
    }

    /// From now on messages may be this long.
    pub fn allow(&self, longest: usize) {
        self.0.longest.set(longest);
    }

    /// Why the socket side ended the connection.
    pub fn fault(&self) -> Option<Close> {
        self.0.fault.get()
    }

    pub(super) fn longest(&self) -> usize {
        self.0.longest.get()
    }

    pub(super) fn paced(&self) -> usize {
        self.0.paced.get()
    }

    /// The socket side ends the connection for this reason.
    pub(super) fn break_off(&self, close: Close) {
        self.0.fault.set(Some(close));
    }

    /// So many bytes of what is sent next are paced by the actor, which waits with [`ConnectionHandle::emptied`] before it sends more of
    /// the kind. They do not count as what a peer that does not read has piled up; the time for writing holds for them too.
    pub fn pace(&self, bytes: usize) {
        self.0.paced.set(self.0.paced.get() + bytes);
    }

    /// Ends when everything that was sent until now has been written; never, if the connection ends before.
    pub fn emptied(&self) -> impl Future<Output = ()> + use<> {
        let (tell, told) = oneshot::channel();
        self.0.waiting.borrow_mut().push(tell);
        async move {
            if told.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Everything has been written.
    pub(super) fn is_empty(&self) {
        self.0.paced.set(0);
        for waiting in self.0.waiting.take() {
            // Who waits no longer need not know.
            let _ = waiting.send(());
        }
    }
}
