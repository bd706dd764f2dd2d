//! The queue of what scripts and lines of the command language make a simulated phone do. Orders are carried out one after
//! another; what they are is decided by [`Settings`].

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

use tokio::time::Instant;

use super::PhoneOptions;
use crate::core::protocol::script::{Command, Final, LoadCommand};
use crate::core::session::device::settings::{Action, Now, Part, Settings};
use crate::sim::sleep_until;
use crate::sim::transport::LinkError;

pub(super) type Moving<T> = Pin<Box<dyn Future<Output = Result<T, LinkError>> + Send>>;

/// What is being carried out.
#[derive(Default)]
pub(super) enum Work {
    #[default]
    Nothing,
    Load(Part, LoadCommand, Moving<usize>),
    Put(Option<(Final, Box<str>)>, Moving<()>),
    Restart(Instant),
}

/// What has been carried out.
pub(super) enum Transferred {
    Load(Part, LoadCommand, Result<usize, LinkError>),
    Put(Option<(Final, Box<str>)>, Result<(), LinkError>),
    Restart,
}

/// The orders of a phone.
#[derive(Default)]
pub(super) struct Orders {
    pub(super) work: Work,
    pub(super) queue: VecDeque<Action>,
    /// What would cut the connection on which it was asked for; it waits until the answer is out.
    pub(super) after_answer: Vec<Action>,
}

impl Orders {
    /// The next order that has been carried out. May be dropped and called again without loss.
    pub(super) async fn next(&mut self) -> Transferred {
        let done = match &mut self.work {
            Work::Nothing => std::future::pending().await,
            Work::Load(part, order, moving) => {
                let result = moving.await;
                Transferred::Load(*part, order.clone(), result)
            }
            Work::Put(last, moving) => {
                let result = moving.await;
                Transferred::Put(last.clone(), result)
            }
            Work::Restart(until) => {
                sleep_until(Some(*until)).await;
                Transferred::Restart
            }
        };
        self.work = Work::Nothing;
        done
    }

    /// Orders and restarts that follow a failed one are dropped.
    pub(super) fn drop_dependent(&mut self) {
        let depends =
            |action: &Action| matches!(action, Action::Load(..) | Action::Put { .. } | Action::Restart { .. });
        self.queue.retain(|action| !depends(action));
    }
}

/// The settings of a phone that has never been started.
pub(super) fn as_delivered(options: &PhoneOptions) -> Settings {
    let machine = super::machine(options);
    let mut settings = Settings::factory(machine, options.init_url.as_deref().unwrap_or_default());
    if let Some(address) = &options.sysadmin {
        // What comes of it is taken over when the phone starts.
        let _ = settings.run(&[Command::sysadmin(address), Command::ConfigWrite], Now::default());
    }
    settings
}
