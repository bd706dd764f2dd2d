//! The queue of actions that scripts and command lines ask of a simulated phone. They run one after another; which
//! ones there are is decided by [`Settings`].

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

use tokio::time::Instant;

use super::PhoneOptions;
use crate::core::protocol::script::{Command, Final, LoadCommand};
use crate::core::session::device::settings::{Action, Now, Part, Settings};
use crate::sim::sleep_until;
use crate::sim::transport::LinkError;

pub(super) type Transfer<T> = Pin<Box<dyn Future<Output = Result<T, LinkError>> + Send>>;

/// The action being carried out.
#[derive(Default)]
pub(super) enum CurrentTransfer {
    #[default]
    Nothing,
    Load(Part, LoadCommand, Transfer<usize>),
    Put(Option<(Final, Box<str>)>, Transfer<()>),
    Restart(Instant),
}

/// A finished action.
pub(super) enum Transferred {
    Load(Part, LoadCommand, Result<usize, LinkError>),
    Put(Option<(Final, Box<str>)>, Result<(), LinkError>),
    Restart,
}

/// The actions of a phone.
#[derive(Default)]
pub(super) struct Orders {
    pub(super) current: CurrentTransfer,
    pub(super) queue: VecDeque<Action>,
    /// Actions that would cut the connection they were requested on; deferred until the answer is sent.
    pub(super) after_answer: Vec<Action>,
}

impl Orders {
    /// The next finished action. Cancel-safe.
    pub(super) async fn next(&mut self) -> Transferred {
        let done = match &mut self.current {
            CurrentTransfer::Nothing => std::future::pending().await,
            CurrentTransfer::Load(part, order, transfer) => {
                let result = transfer.await;
                Transferred::Load(*part, order.clone(), result)
            }
            CurrentTransfer::Put(last, transfer) => {
                let result = transfer.await;
                Transferred::Put(last.clone(), result)
            }
            CurrentTransfer::Restart(until) => {
                sleep_until(Some(*until)).await;
                Transferred::Restart
            }
        };
        self.current = CurrentTransfer::Nothing;
        done
    }

    /// Drops the actions that depend on a failed one.
    pub(super) fn drop_dependent(&mut self) {
        let depends =
            |action: &Action| matches!(action, Action::Load(..) | Action::Put { .. } | Action::Restart { .. });
        self.queue.retain(|action| !depends(action));
    }
}

/// The settings of a phone that was never started.
pub(super) fn as_delivered(options: &PhoneOptions) -> Settings {
    let machine = super::machine(options);
    let mut settings = Settings::factory(machine, options.init_url.as_deref().unwrap_or_default());
    if let Some(address) = &options.sysadmin {
        // Resulting actions are irrelevant before the start.
        let _ = settings.run(&[Command::sysadmin(address), Command::ConfigWrite], Now::default());
    }
    settings
}
