//! Handle of the client of one exchange on this node: the state machine behind a lock, and the command queue of the
//! task that runs it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, mpsc, oneshot};

use super::commands::Command;
use super::dial::Trust;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::protocol::appws::call::PbxInfo;
use crate::core::session::exchange::client::{DialLogin, ExchangeClient};
use crate::core::session::exchange::settings::Settings;
use crate::random;
use crate::users_role::backend::UserRemoval;

/// Bound of the command queue; entry orders wait in the store, not here.
const WAITING: usize = 4_096;

/// Bound of pending removal notifications; beyond it every user is checked.
const REMOVALS: usize = 1_024;

/// How we connect to an exchange.
#[derive(Debug, Clone)]
pub struct Dial {
    /// `wss://PBX/PBX0/APPS/websocket`.
    pub url: String,
    /// Which certificate is accepted.
    pub trust: Trust,
}

/// Configuration of one exchange.
#[derive(Debug, Clone)]
pub struct ExchangeSettings {
    /// The domain whose users it holds.
    pub domain: DomainName,
    /// System name of the exchange.
    pub system: Box<str>,
    /// Expected PBX name; empty accepts any.
    pub pbx: Box<str>,
    /// Name of the app object.
    pub object: Box<str>,
    /// Its password.
    pub password: Secret,
    /// Set if we open the connection.
    pub dial: Option<Dial>,
    /// Limits and options of the client.
    pub traffic: Settings,
}

/// Handle of the client of one exchange.
pub(super) struct ExchangeHandle {
    pub(super) settings: ExchangeSettings,
    commands: mpsc::Sender<Command>,
    pub(super) receiver: tokio::sync::Mutex<mpsc::Receiver<Command>>,
    client: Mutex<ExchangeClient>,
    /// Publishes removed users.
    pub(super) removals: broadcast::Sender<UserRemoval>,
}

impl std::fmt::Debug for ExchangeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeHandle").field("domain", &self.settings.domain).finish_non_exhaustive()
    }
}

impl ExchangeHandle {
    pub(super) fn new(settings: ExchangeSettings) -> Self {
        let (commands, receiver) = mpsc::channel(WAITING);
        let client = Mutex::new(new_client(&settings));
        let removals = broadcast::channel(REMOVALS).0;
        Self { settings, commands, receiver: tokio::sync::Mutex::new(receiver), client, removals }
    }

    /// Locks the state machine; hold the guard only briefly and never across an await.
    pub(super) fn client(&self) -> MutexGuard<'_, ExchangeClient> {
        // After a panic it is replaced before it is used again.
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `info` names the configured exchange.
    pub(super) fn matches(&self, info: &PbxInfo) -> bool {
        let ExchangeSettings { system, pbx, .. } = &self.settings;
        info.domain.as_deref() == Some(&**system) && (pbx.is_empty() || info.pbx.as_deref() == Some(&**pbx))
    }

    /// Queues a command without waiting; false if the queue is full.
    pub(super) fn tell(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Sends a command and waits for its answer; `None` when the process stops.
    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(command(sender)).await.ok()?;
        answer.await.ok()
    }
}

/// A new state machine without a connection.
pub(super) fn new_client(settings: &ExchangeSettings) -> ExchangeClient {
    let login = DialLogin { app: settings.object.clone(), password: settings.password.clone(), with_info: false };
    ExchangeClient::new(settings.traffic.clone(), login, &settings.pbx, random::below(u64::MAX))
}
