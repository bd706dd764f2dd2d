//! The client of one PBX on this node: its settings, its state machine, and the way to its task.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, mpsc, oneshot};

use super::commands::Command;
use super::dial::Trust;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::protocol::appws::call::PbxInfo;
use crate::core::session::exchange::client::{DialLogin, Exchange};
use crate::core::session::exchange::settings::Settings;
use crate::random;
use crate::users_role::backend::Left;

/// Commands that may wait; an order waits with whoever gives it.
const WAITING: usize = 4_096;

/// Users who leave and whose codes have not been taken back yet; beyond, everybody is looked at.
const LEAVERS: usize = 1_024;

/// Our own connection to a PBX.
#[derive(Debug, Clone)]
pub struct Dial {
    /// `wss://PBX/PBX0/APPS/websocket`.
    pub url: String,
    /// Whose certificate it must have.
    pub trust: Trust,
}

/// One PBX.
#[derive(Debug, Clone)]
pub struct ExchangeSettings {
    /// The domain whose users it has.
    pub domain: DomainName,
    /// System name of the PBX.
    pub system: Box<str>,
    /// Name of the PBX that counts.
    pub pbx: Box<str>,
    /// Name of the app object.
    pub object: Box<str>,
    /// Its password.
    pub password: Secret,
    /// Set if it is us who connect.
    pub dial: Option<Dial>,
    /// What can be set for the traffic.
    pub traffic: Settings,
}

/// See the module.
pub(super) struct ExchangeClient {
    pub(super) settings: ExchangeSettings,
    commands: mpsc::Sender<Command>,
    pub(super) receiver: tokio::sync::Mutex<mpsc::Receiver<Command>>,
    exchange: Mutex<Exchange>,
    /// Users who are there no longer.
    pub(super) leavers: broadcast::Sender<Left>,
}

impl std::fmt::Debug for ExchangeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("domain", &self.settings.domain).finish_non_exhaustive()
    }
}

impl ExchangeClient {
    pub(super) fn new(settings: ExchangeSettings) -> Self {
        let (commands, receiver) = mpsc::channel(WAITING);
        let exchange = Mutex::new(exchange(&settings));
        let leavers = broadcast::channel(LEAVERS).0;
        Self { settings, commands, receiver: tokio::sync::Mutex::new(receiver), exchange, leavers }
    }

    /// The state machine, for a moment.
    pub(super) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        // After a panic it is replaced before it is used again.
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the PBX that counts.
    pub(super) fn is_meant(&self, info: &PbxInfo) -> bool {
        let ExchangeSettings { system, pbx, .. } = &self.settings;
        info.domain.as_deref() == Some(&**system) && (pbx.is_empty() || info.pbx.as_deref() == Some(&**pbx))
    }

    /// Tells the task; false if it has too much to do.
    pub(super) fn tell(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Asks the task; `None` when the process stops.
    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(command(sender)).await.ok()?;
        answer.await.ok()
    }
}

/// A state machine that has never been connected.
pub(super) fn exchange(settings: &ExchangeSettings) -> Exchange {
    let login = DialLogin { app: settings.object.clone(), password: settings.password.clone(), with_info: false };
    Exchange::new(settings.traffic.clone(), login, &settings.pbx, random::below(u64::MAX))
}
