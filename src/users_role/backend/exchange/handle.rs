//! Handle of the client of one exchange on this node: the state machine behind a lock, and the command queue of the
//! task that runs it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

use super::dial::Trust;
use super::task;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::protocol::appws::call::PbxInfo;
use crate::core::session::exchange::apps::PhoneApp;
use crate::core::session::exchange::client::{DialLogin, ExchangeClient};
use crate::core::session::exchange::event::{ExchangeOrder, Outcome};
use crate::core::session::exchange::settings::Settings;
use crate::lifecycle::Shutdown;
use crate::random;
use crate::store::Store;
use crate::users_role::backend::UserRemoval;

/// Bound of the command queue; entry orders wait in the store, not here.
const WAITING: usize = 4_096;

/// Bound of pending removal notifications; beyond it every user is checked.
const REMOVALS: usize = 1_024;

/// Pause before a task that has panicked is started again.
const AFTER_PANIC: Duration = Duration::from_secs(5);

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

/// Commands to the task.
#[derive(Debug)]
pub(super) enum Command {
    Enter(ExchangeOrder, oneshot::Sender<Outcome>),
    Apps(oneshot::Sender<Vec<PhoneApp>>),
    Attach {
        conn: u64,
        info: Box<PbxInfo>,
        commands: mpsc::Sender<crate::users_role::backend::exchange::inbound::ConnectionCommand>,
    },
    Text {
        conn: u64,
        text: String,
    },
}

/// See the module.
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
        f.debug_struct("Line").field("domain", &self.settings.domain).finish_non_exhaustive()
    }
}

impl ExchangeHandle {
    pub(super) fn new(settings: ExchangeSettings) -> Self {
        let (commands, receiver) = mpsc::channel(WAITING);
        let client = Mutex::new(new_client(&settings));
        let removals = broadcast::channel(REMOVALS).0;
        Self { settings, commands, receiver: tokio::sync::Mutex::new(receiver), client, removals }
    }

    /// Runs the task until the process stops. A panic loses the mirror and the connection; both are rebuilt.
    pub(super) fn start(self: &Arc<Self>, store: &Arc<dyn Store>, shutdown: &Shutdown) {
        let (handle, store, shutdown) = (Arc::clone(self), Arc::clone(store), shutdown.clone());
        tokio::spawn(async move {
            while let Err(error) =
                tokio::spawn(task::run(Arc::clone(&handle), Arc::clone(&store), shutdown.clone())).await
            {
                if shutdown.is_draining() || !error.is_panic() {
                    return;
                }
                tracing::error!(domain = %handle.settings.domain, "exchange client panicked; restarting it");
                *handle.client() = new_client(&handle.settings);
                tokio::time::sleep(AFTER_PANIC).await;
            }
        });
    }

    /// Locks the state machine; hold the guard only briefly and never across an await.
    pub(super) fn client(&self) -> MutexGuard<'_, ExchangeClient> {
        // After a panic it is replaced before it is used again.
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `info` names the configured exchange.
    pub(super) fn is_meant(&self, info: &PbxInfo) -> bool {
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

fn new_client(settings: &ExchangeSettings) -> ExchangeClient {
    let login = DialLogin { app: settings.object.clone(), password: settings.password.clone(), with_info: false };
    ExchangeClient::new(settings.traffic.clone(), login, &settings.pbx, random::below(u64::MAX))
}
