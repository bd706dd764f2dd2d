//! What goes into a simulated PBX, what comes out, and what tests look at.

use std::collections::BTreeMap;

use crate::core::model::ids::Secret;
use crate::core::model::time::Tick;

/// A connection with us.
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

/// What happens.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Somebody has connected to us.
    Accepted(ConnId),
    /// We have connected to somebody.
    Dialled(ConnId),
    /// A message.
    Text(ConnId, &'a str),
    /// A connection is gone.
    Closed(ConnId),
    /// The time of [`ExchangeSim::next_wake`] has come.
    Timer,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message; in fragments, if the switch is on.
    Send(ConnId, String),
    /// Break the connection off.
    Cut(ConnId),
}

/// What tests look at.
#[derive(Debug, Default, Clone)]
pub struct Observations {
    /// Messages by type, in the order of arrival.
    pub messages: Vec<(Tick, Box<str>)>,
    /// The text of every `UpdateObject`.
    pub updates: Vec<String>,
    /// Most changes at the same time between arrival and answer.
    pub most_updates: usize,
    /// Most requests at the same time between arrival and answer.
    pub most_open: usize,
    /// Objects that were created; nothing of ours ever may.
    pub created: usize,
    /// Log-ins with a wrong digest.
    pub refused: usize,
    /// Log-ins that were right.
    pub logged_in: usize,
    /// Entries by user and device that were made by a client, with how often.
    pub entered: BTreeMap<(Box<str>, Box<str>), usize>,
}

impl Observations {
    /// How many messages of a type have come.
    pub fn count(&self, mt: &str) -> usize {
        self.messages.iter().filter(|(_, seen)| **seen == *mt).count()
    }

    /// When the messages of a type have come.
    pub fn times(&self, mt: &str) -> Vec<Tick> {
        self.messages.iter().filter(|(_, seen)| **seen == *mt).map(|(at, _)| *at).collect()
    }
}
