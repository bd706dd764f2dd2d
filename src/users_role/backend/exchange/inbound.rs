//! Where connections that a PBX has opened to us meet the client of that PBX (`docs/protocol/pbx.md` 1.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::core::protocol::appws::call::PbxInfo;
use crate::core::session::exchange::inbound::InboundSettings;
use crate::users_role::backend::exchange::client::ExchangeClient;
use crate::users_role::backend::exchange::commands::{Command, LinkCommand};

/// Messages to a PBX that may wait for its connection.
const WAITING: usize = 256;

/// All PBXs that may connect to us. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InboundRegistry {
    lines: Arc<[Arc<ExchangeClient>]>,
    door: Arc<InboundSettings>,
    last: Arc<AtomicU64>,
}

impl InboundRegistry {
    pub(super) fn new(lines: Arc<[Arc<ExchangeClient>]>, door: InboundSettings) -> Self {
        Self { lines, door: Arc::new(door), last: Arc::default() }
    }

    /// What all doors have in common.
    pub fn door(&self) -> &InboundSettings {
        &self.door
    }

    /// A PBX has connected and said what it is. From now on this is its connection, if it is one that counts; a newer one
    /// replaces it.
    pub fn attach(&self, info: &PbxInfo) -> Option<(Link, mpsc::Receiver<LinkCommand>)> {
        let meant = self.lines.iter().find(|line| line.is_meant(info))?;
        let (orders, receiver) = mpsc::channel(WAITING);
        let conn = self.last.fetch_add(1, Ordering::Relaxed);
        let link = Link { line: Arc::clone(meant), conn };
        link.tell(Command::Attach { conn, info: Box::new(info.clone()), orders }).then_some((link, receiver))
    }
}

/// A connection of a PBX that counts. The client learns of its end when the receiver of its orders is dropped.
#[derive(Debug)]
pub struct Link {
    line: Arc<ExchangeClient>,
    conn: u64,
}

impl Link {
    /// A message of the PBX. False: too many wait already, so that the connection has to end.
    #[must_use]
    pub fn text(&self, text: String) -> bool {
        self.tell(Command::Text { conn: self.conn, text })
    }

    fn tell(&self, command: Command) -> bool {
        self.line.tell(command)
    }
}
