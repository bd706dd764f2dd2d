//! A simulated Users service: [`UsersClient`](crate::core::session::app::client::UsersClient) on a real WebSocket,
//! with a handle for requests and a stream of events.
//!
//! It reconnects after a lost connection. After a refused log-in it stays disconnected until told otherwise, because
//! the same password would be refused again.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::observe::EventSender;
use crate::core::model::device::Category;
use crate::core::model::ids::Code;
use crate::core::session::app::client::{Answer, Ask, AskError, DeviceInfo, Login, Notice};

mod task;
#[cfg(test)]
mod tests;

/// Bound of the command queue.
const WAITING_COMMANDS: usize = 256;

/// Options of a simulated Users service.
#[derive(Debug, Clone)]
pub struct UsersOptions {
    /// Address of the app WebSocket, `ws://…/DOMAIN/INSTANCE/APP`.
    pub url: String,
    /// Names and password.
    pub login: Login,
    /// Wait between a lost connection and the next attempt.
    pub reconnect: Duration,
    /// Open codes of an earlier run.
    pub open_codes: Vec<Code>,
}

impl UsersOptions {
    /// Default wait, and no codes of an earlier run.
    pub fn new(url: impl Into<String>, login: Login) -> Self {
        Self { url: url.into(), login, reconnect: Duration::from_secs(2), open_codes: Vec::new() }
    }
}

/// Events of a simulated Users service.
#[derive(Debug, Clone, PartialEq)]
pub enum UsersEvent {
    /// The WebSocket is open.
    Connected,
    /// The server could not be reached; it is retried.
    ConnectFailed(Box<str>),
    /// Logged in; the domain of the instance.
    Ready(Box<str>),
    /// The log-in was refused.
    LoginFailed(Box<str>),
    /// A device has used a code.
    Notice(Notice),
    /// A code has expired without being used.
    Expired(Code),
    /// The service sent something that cannot be understood.
    Invalid(&'static str),
    /// The connection has ended: close code, if there was one, and reason.
    Closed(Option<u16>, Box<str>),
    /// The observer was too slow and missed this many events.
    Missed(u64),
}

/// State of the log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    Offline,
    Ready,
    Refused(Box<str>),
    /// An attempt to connect has failed.
    Unreachable(Box<str>),
}

/// Why a log-in failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The service refused it.
    #[error("log-in refused: {0}")]
    Refused(Box<str>),
    /// The service could not be reached.
    #[error("service not reached: {0}")]
    Unreachable(Box<str>),
    /// The client has been stopped.
    #[error("stopped")]
    Stopped,
}

enum Command {
    Ask(Ask, oneshot::Sender<Result<Answer, AskError>>),
    /// Acknowledged when carried out, so that later events are from after it.
    Do(UsersCommand, oneshot::Sender<()>),
    Stop,
}

enum UsersCommand {
    Watch(Code),
    Disconnect,
    Kill,
    Reconnect,
}

/// The handle of a running Users. Dropping it stops the client.
#[derive(Debug)]
pub struct Users {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    task: JoinHandle<()>,
}

impl Users {
    /// Starts a client on the current runtime; it connects at once.
    pub fn start(options: UsersOptions) -> (Self, mpsc::Receiver<UsersEvent>) {
        let (observer, events) = EventSender::new(UsersEvent::Missed);
        let (commands, receiver) = mpsc::channel(WAITING_COMMANDS);
        let (status_sender, status) = watch::channel(Status::Offline);
        let task = task::Task::new(&options, observer, status_sender);
        let task = tokio::spawn(task.run(options, receiver));
        (Self { commands, status, task }, events)
    }

    /// Waits for the log-in. The first failure to connect or to log in ends the wait, though the client keeps trying
    /// to connect.
    pub async fn ready(&mut self) -> Result<(), LoginError> {
        let status = self.status.wait_for(|status| *status != Status::Offline).await;
        match status.as_deref() {
            Ok(Status::Refused(error)) => Err(LoginError::Refused(error.clone())),
            Ok(Status::Unreachable(error)) => Err(LoginError::Unreachable(error.clone())),
            Ok(_) => Ok(()),
            Err(_) => Err(LoginError::Stopped),
        }
    }

    /// The categories for provisioning; with a device type only those that accept it.
    pub async fn categories(&self, kind: Option<&str>) -> Result<Vec<Category>, AskError> {
        match self.ask(Ask::Categories { kind: kind.map(Into::into) }).await? {
            Answer::Categories(list) => Ok(list),
            _ => Err(AskError::Malformed),
        }
    }

    /// A new code and the end of its validity in Unix seconds.
    pub async fn code(&self, category: &str, sip: Option<&str>, rollout: bool) -> Result<(Code, u64), AskError> {
        match self.ask(Ask::Code { category: category.into(), sip: sip.map(Into::into), rollout }).await? {
            Answer::Code { code, valid_until } => Ok((code, valid_until)),
            _ => Err(AskError::Malformed),
        }
    }

    /// The device that has used a code; `None`: it is still open.
    pub async fn provisioned(&self, code: Code) -> Result<Option<DeviceInfo>, AskError> {
        match self.ask(Ask::Provisioned(code)).await? {
            Answer::Provisioned(device) => Ok(device),
            _ => Err(AskError::Malformed),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, AskError> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(Command::Ask(ask, sender)).await.map_err(|_| AskError::Offline)?;
        answer.await.unwrap_or(Err(AskError::Lost))
    }

    /// Adds an open code of an earlier run.
    pub async fn watch(&self, code: Code) {
        self.order(UsersCommand::Watch(code)).await;
    }

    /// Closes the connection and stays disconnected.
    pub async fn disconnect(&self) {
        self.order(UsersCommand::Disconnect).await;
    }

    /// Drops the connection without a close frame and stays disconnected.
    pub async fn kill_connection(&self) {
        self.order(UsersCommand::Kill).await;
    }

    /// Reconnects after [`Self::disconnect`], [`Self::kill_connection`] or a refused log-in.
    pub async fn reconnect(&self) {
        self.order(UsersCommand::Reconnect).await;
    }

    /// Stops the client and waits for its task.
    pub async fn stop(self) {
        // If the task has ended already, there is nothing to stop.
        let _ = self.commands.send(Command::Stop).await;
        // A panic of the task has been reported by the runtime.
        let _ = self.task.await;
    }

    async fn order(&self, order: UsersCommand) {
        let (sender, done) = oneshot::channel();
        // The task ends only when stopped; then commands have no effect.
        if self.commands.send(Command::Do(order, sender)).await.is_ok() {
            let _ = done.await;
        }
    }
}
