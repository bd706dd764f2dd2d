//! Commands to the task of an exchange, and from it to a connection that the exchange has opened.

use tokio::sync::{mpsc, oneshot};

use crate::core::protocol::appws::call::PbxInfo;
use crate::core::session::exchange::apps::PhoneApp;
use crate::core::session::exchange::event::{ExchangeOrder, Outcome};

/// Commands to the task.
#[derive(Debug)]
pub(super) enum Command {
    Enter(ExchangeOrder, oneshot::Sender<Outcome>),
    Apps(oneshot::Sender<Vec<PhoneApp>>),
    Attach { conn: u64, info: Box<PbxInfo>, commands: mpsc::Sender<ConnectionCommand> },
    Text { conn: u64, text: String },
}

/// Commands of the client to the connection. When the channel closes, the connection has to end.
#[derive(Debug, PartialEq, Eq)]
pub enum ConnectionCommand {
    /// Send a text message.
    Text(String),
    /// Close with a code.
    Close(u16),
    /// A newer connection has replaced this one, which stays open but is no longer used.
    Replaced,
}
