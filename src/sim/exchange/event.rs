//! Events, actions and observations of the simulated exchange.

use std::collections::BTreeMap;

use crate::core::model::ids::Secret;
use crate::core::model::time::Tick;

/// A connection of the simulated exchange.
pub type ConnId = u64;

/// Names and password of the app object.
#[derive(Debug, Clone)]
pub struct Identity {
    /// System name.
    pub domain: Box<str>,
    /// PBX name.
    pub pbx: Box<str>,
    /// Name of the app object.
    pub object: Box<str>,
    /// Its password.
    pub password: Secret,
}

/// Events.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A peer has connected.
    Accepted(ConnId),
    /// Our own connection is open.
    Dialled(ConnId),
    /// A message.
    Text(ConnId, &'a str),
    /// A connection has ended.
    Closed(ConnId),
    /// The time of [`ExchangeSim::next_wake`] has come.
    Timer,
}

/// Actions.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message; in fragments, if the switch is on.
    Send(ConnId, String),
    /// Drop the connection.
    Cut(ConnId),
}

/// What the simulator has observed, for tests.
#[derive(Debug, Default, Clone)]
pub struct Observations {
    /// Messages by type, in the order of arrival.
    pub messages: Vec<(Tick, Box<str>)>,
    /// The text of every `UpdateObject`.
    pub updates: Vec<String>,
    /// Highest number of updates between arrival and answer.
    pub most_updates: usize,
    /// Highest number of requests between arrival and answer.
    pub most_open: usize,
    /// Objects created by `UpdateObject`; our client must never create one.
    pub created: usize,
    /// Log-ins with a wrong digest.
    pub refused: usize,
    /// Successful log-ins.
    pub logged_in: usize,
    /// Entries made by a client, by user and device, with their count.
    pub entered: BTreeMap<(Box<str>, Box<str>), usize>,
}

impl Observations {
    /// Number of received messages of a type.
    pub fn count(&self, mt: &str) -> usize {
        self.messages.iter().filter(|(_, seen)| **seen == *mt).count()
    }

    /// Times of received messages of a type.
    pub fn times(&self, mt: &str) -> Vec<Tick> {
        self.messages.iter().filter(|(_, seen)| **seen == *mt).map(|(at, _)| *at).collect()
    }
}
