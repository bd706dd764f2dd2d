//! Events, actions and outcomes of the exchange client.

use std::time::Duration;

use super::apps::PhoneApp;
use super::guid::Guid;
use crate::core::protocol::appws::call::PbxInfo;

/// Tag chosen by the caller and returned with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderTag(pub u64);

/// The change of one device at one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The device has an entry with this phone app.
    Put {
        /// Name of the app object.
        app: Box<str>,
        /// Product; the label of a new entry.
        product: Box<str>,
    },
    /// The device has no entry.
    TakeOut,
}

/// An order to the exchange. Repeating it has no further effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeOrder {
    /// The user.
    pub user: Guid,
    /// Device key.
    pub hw: Box<str>,
    /// The ordered change.
    pub change: Change,
    /// Orders are numbered in order of time.
    pub number: u64,
}

/// Locks with expiry that hold across all nodes, per exchange (`docs/protocol/pbx.md` section 5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lock {
    /// The write slot: reading and writing an object.
    Slot,
    /// Orders for one user.
    User(Guid),
}

/// Events.
#[derive(Debug)]
pub enum Event<'a> {
    /// The connection that we opened is up.
    Dialled,
    /// The exchange has connected, logged in and sent `PbxInfo`; this connection replaces any earlier one.
    Attached(&'a PbxInfo),
    /// A text message was received.
    Text(&'a str),
    /// The connection has ended.
    Closed,
    /// An order to enter or remove a device.
    Enter(OrderTag, ExchangeOrder),
    /// A request for the phone apps.
    Apps(OrderTag),
    /// A requested lock is held. It is renewed until it is released.
    Held(Lock),
    /// A lock could not be renewed.
    Lost(Lock),
    /// The time of [`crate::core::session::exchange::client::ExchangeClient::next_wake`] has come.
    Timer,
}

/// Actions, to be performed in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a text message.
    Send(String),
    /// Close the connection with a code.
    Close(u16),
    /// Logged in: orders can be carried out.
    Ready,
    /// The log-in was refused; the password is wrong.
    Refused,
    /// Acquire a lock, waiting as long as it takes.
    Acquire(Lock),
    /// Release a lock.
    Release(Lock),
    /// An order has finished, for now or for good.
    Done(OrderTag, Outcome),
    /// The phone apps.
    PhoneApps(OrderTag, Vec<PhoneApp>),
    /// A user has been deleted.
    Deleted(Guid),
    /// A device has registered at the exchange.
    Registered {
        /// The user.
        user: Guid,
        /// The device key of the order.
        hw: Box<str>,
    },
    /// A report for the log. Contains no passwords and no names of persons.
    Report(Report),
}

/// Outcome of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The ordered state holds.
    Done {
        /// Something had to be written.
        wrote: bool,
    },
    /// The order is obsolete.
    Obsolete(ObsoleteReason),
    /// Repeat the order after this time.
    Later(RetryReason, Duration),
    /// It has failed for good; an administrator has to act.
    Failed(OrderFailure),
}

/// Why an order is obsolete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObsoleteReason {
    /// The user has been deleted.
    UserDeleted,
    /// A newer order for the same device exists.
    Superseded,
}

/// Why an order has to be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// No connection to the exchange.
    NoConnection,
    /// The app object is granted none of the required interfaces.
    NotGranted,
    /// The exchange has no app object with the name of the phone app.
    UnknownApp,
    /// The exchange answered with an error.
    Refused,
    /// Concurrent edits of the user.
    ConcurrentEdits,
    /// Too many orders at once.
    Busy,
    /// A lock was lost.
    LockLost,
}

/// Why an order has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderFailure {
    /// The user has too many entries.
    TooManyDevices,
    /// The entries of the user are too long for one message.
    TooLong,
    /// The object is not a user.
    NotAUser,
    /// The exchange answered with an error.
    Refused,
    /// The device is entered for another user and may not be moved.
    AtOtherUser,
    /// A change written through the table was never seen.
    NotSeen,
    /// The exchange has created an object instead of changing the user.
    ObjectCreated,
}

/// A report for the log. Contains no passwords and no names of persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Another client removed an entry while an order was carried out; it stays removed.
    RemovedMeanwhile {
        /// The user.
        user: Guid,
        /// The device.
        hw: Box<str>,
    },
    /// The answer to an update of this user names an object: the exchange has created one.
    ObjectCreated {
        /// The user that was to be changed.
        user: Guid,
        /// The object that the answer names, if the name has the form of one.
        created: Option<Guid>,
    },
    /// An order has waited three times because of concurrent edits of the user.
    ConcurrentEdits(Guid),
    /// A required column is not offered.
    TableLacks(&'static str),
    /// The exchange repeats pages of the list of users.
    ListLoops,
    /// A required interface does not answer.
    NotGranted(&'static str),
    /// The connected exchange is not the configured one.
    OtherPbx(Box<str>),
    /// The exchange answered with an error.
    Error(&'static str, Box<str>),
    /// The exchange has more users than the mirror holds.
    TooManyUsers,
    /// A message is malformed or missing.
    Malformed(&'static str),
}
