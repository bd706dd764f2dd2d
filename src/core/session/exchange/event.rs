//! What goes into the client of a PBX and what comes out.

use std::time::Duration;

use super::apps::PhoneApp;
use super::guid::Guid;
use crate::core::protocol::appws::call::PbxInfo;

/// A mark of the asker, given back with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderTag(pub u64);

/// What is to become of one device at one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It has an entry with this phone app.
    Put {
        /// Name of the app object.
        app: Box<str>,
        /// Product, the label of a new entry.
        product: Box<str>,
    },
    /// It has no entry.
    TakeOut,
}

/// An order. The same order may be given any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeOrder {
    /// The user.
    pub user: Guid,
    /// Device key.
    pub hw: Box<str>,
    /// What is to become of it.
    pub change: Change,
    /// The later of two orders has the greater number.
    pub number: u64,
}

/// What must not be done twice at the same time, over all nodes: locks with expiry, of one PBX
/// (`docs/protocol/pbx.md` section 5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lock {
    /// Reading and writing an object.
    Slot,
    /// Orders for one user.
    User(Guid),
}

/// What happens.
#[derive(Debug)]
pub enum Event<'a> {
    /// The connection that we opened is up.
    Dialled,
    /// The PBX has opened a connection, logged in and said what it is; it counts from now on, instead of any earlier one.
    Attached(&'a PbxInfo),
    /// A text message has come.
    Text(&'a str),
    /// The connection is gone.
    Closed,
    /// Somebody wants a device entered or taken out.
    Enter(OrderTag, ExchangeOrder),
    /// Somebody wants to know the phone apps.
    Apps(OrderTag),
    /// A lock that was asked for is held. It is renewed until it is released.
    Held(Lock),
    /// A lock could not be renewed.
    Lost(Lock),
    /// The time of [`crate::core::session::exchange::client::ExchangeClient::next_wake`] has come.
    Timer,
}

/// What is to be done or known, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a text message.
    Send(String),
    /// Close the connection with a code.
    Close(u16),
    /// Orders are welcome.
    Ready,
    /// The log-in was refused; the password is wrong.
    Refused,
    /// Get a lock, however long it takes.
    Acquire(Lock),
    /// Give a lock back.
    Release(Lock),
    /// An order is at its end, for now or for good.
    Done(OrderTag, Outcome),
    /// The phone apps.
    PhoneApps(OrderTag, Vec<PhoneApp>),
    /// A user has been deleted.
    Deleted(Guid),
    /// A device has registered at the PBX.
    Registered {
        /// With whom.
        user: Guid,
        /// The device, as it was ordered.
        hw: Box<str>,
    },
    /// Something for the log.
    Report(Report),
}

/// How an order has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is as was ordered.
    Done {
        /// Something had to be written for it.
        wrote: bool,
    },
    /// There is nothing to be done any more.
    Obsolete(ObsoleteReason),
    /// To be ordered again.
    Later(RetryReason, Duration),
    /// It cannot be done; for the administrator.
    Failed(OrderFailure),
}

/// Why there is nothing to be done any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObsoleteReason {
    /// The user has been deleted.
    UserDeleted,
    /// A newer order for the same device exists.
    Superseded,
}

/// Why an order has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// No connection to the PBX.
    NoConnection,
    /// The app object has none of the interfaces that are needed.
    NotGranted,
    /// The PBX has no app object of the phone app's name.
    UnknownApp,
    /// The PBX gave an error.
    Refused,
    /// Others change the user all the time.
    ConcurrentEdits,
    /// Too many orders at once.
    Busy,
    /// A lock was lost.
    LockLost,
}

/// Why an order cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderFailure {
    /// The user has too many entries.
    TooManyDevices,
    /// The entries of the user are too long for one message.
    TooLong,
    /// The object is no user.
    NotAUser,
    /// The PBX gave an error every time.
    Refused,
    /// The device is entered for somebody else, and may not be moved.
    AtOtherUser,
    /// What was written through the table was never seen.
    NotSeen,
}

/// Something for the log. No passwords, no names of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// An entry was removed by somebody while an order was carried out; it stays removed.
    RemovedMeanwhile {
        /// The user.
        user: Guid,
        /// The device.
        hw: Box<str>,
    },
    /// An order has waited three times for others to leave the user alone.
    ConcurrentEdits(Guid),
    /// A column that the mirror needs is not offered.
    TableLacks(&'static str),
    /// The list of users goes round in circles.
    ListLoops,
    /// An interface that is needed does not answer.
    NotGranted(&'static str),
    /// The PBX at the other end is not the one that is configured.
    OtherPbx(Box<str>),
    /// The PBX gave an error.
    Error(&'static str, Box<str>),
    /// There are more users than the mirror takes.
    TooManyUsers,
    /// Something that cannot be understood.
    Malformed(&'static str),
}
