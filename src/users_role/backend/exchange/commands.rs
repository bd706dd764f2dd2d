//! What the task of a PBX and the connections that a PBX has opened to us tell each other.

use tokio::sync::{mpsc, oneshot};

use crate::core::protocol::appws::call::PbxInfo;
use crate::core::session::exchange::apps::PhoneApp;
use crate::core::session::exchange::event::{ExchangeOrder, Outcome};

/// What the task is told.
#[derive(Debug)]
pub(super) enum Command {
    Enter(ExchangeOrder, oneshot::Sender<Outcome>),
    Apps(oneshot::Sender<Vec<PhoneApp>>),
    Attach { conn: u64, info: Box<PbxInfo>, orders: mpsc::Sender<LinkCommand> },
    Text { conn: u64, text: String },
}

/// What the client of a PBX wants of a connection. When there will be no more, the connection is to end.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkCommand {
    /// Send a text message.
    Text(String),
    /// Close with a code.
    Close(u16),
    /// A newer connection counts; this one is kept open, without use.
    Replaced,
}
