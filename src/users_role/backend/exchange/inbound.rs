//! Registry that hands connections opened by exchanges to the client of that exchange (`docs/protocol/pbx.md` 1.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::core::protocol::appws::call::PbxInfo;
use crate::core::session::exchange::inbound::InboundSettings;
use crate::users_role::backend::exchange::commands::{Command, ConnectionCommand};
use crate::users_role::backend::exchange::handle::ExchangeHandle;

/// Bound of the queue of messages to one connection.
const WAITING: usize = 256;

/// All exchanges that may connect to us. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InboundRegistry {
    handles: Arc<[Arc<ExchangeHandle>]>,
    settings: Arc<InboundSettings>,
    last: Arc<AtomicU64>,
}

impl InboundRegistry {
    pub(super) fn new(handles: Arc<[Arc<ExchangeHandle>]>, settings: InboundSettings) -> Self {
        Self { handles, settings: Arc::new(settings), last: Arc::default() }
    }

    /// Settings shared by all inbound sessions.
    pub fn settings(&self) -> &InboundSettings {
        &self.settings
    }

    /// Makes this the current connection of the exchange that `info` names, replacing an earlier one; `None` if it is
    /// not configured or its queue is full.
    pub fn attach(&self, info: &PbxInfo) -> Option<(InboundConnection, mpsc::Receiver<ConnectionCommand>)> {
        let handle = self.handles.iter().find(|handle| handle.matches(info))?;
        let (commands, receiver) = mpsc::channel(WAITING);
        let conn = self.last.fetch_add(1, Ordering::Relaxed);
        let link = InboundConnection { handle: Arc::clone(handle), conn };
        link.tell(Command::Attach { conn, info: Box::new(info.clone()), commands }).then_some((link, receiver))
    }
}

/// The current connection of a configured exchange. The client learns of its end when the receiver of its commands is
/// dropped.
#[derive(Debug)]
pub struct InboundConnection {
    handle: Arc<ExchangeHandle>,
    conn: u64,
}

impl InboundConnection {
    /// Passes on a message of the exchange. False: the queue is full, and the connection has to end.
    #[must_use]
    pub fn text(&self, text: String) -> bool {
        self.tell(Command::Text { conn: self.conn, text })
    }

    fn tell(&self, command: Command) -> bool {
        self.handle.tell(command)
    }
}
