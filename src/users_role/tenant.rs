//! One tenant of the Users role on this node: an actor that runs its link, entry orders and roll-outs. If a task
//! panics, the actor dies and its supervisor starts it again; all state that matters is in the store.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use futures_util::future::LocalBoxFuture;
use tokio::sync::{Notify, oneshot};

use super::backend::Backend;
use crate::metrics::{self, Counter};
use crate::store::Store;
use crate::users_role::devices_link::Link;
use crate::users_role::order_intake::OrderIntake;
use crate::users_role::progress_poller::ProgressPoller;

/// Pause before a tenant that has died is started again.
const AGAIN: Duration = Duration::from_secs(1);

/// State shared by the tenant's tasks and the pages.
pub(super) struct TenantShared {
    pub store: Arc<dyn Store>,
    pub link: Link,
    pub backend: Arc<dyn Backend>,
    pub intake: OrderIntake,
    pub poller: ProgressPoller,
    /// Wakes the task that requests codes of roll-outs.
    pub rollouts: Notify,
}

/// The tasks of a tenant; each runs until the actor ends.
pub(super) type TenantTasks = Vec<LocalBoxFuture<'static, ()>>;

struct Tenant {
    tasks: TenantTasks,
    /// Dropped with the actor, also by a panic, which notifies the supervisor.
    _alive: oneshot::Sender<()>,
}

impl Actor for Tenant {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        for task in std::mem::take(&mut self.tasks) {
            ctx.spawn(task.into_actor(self));
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Tenant {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

/// Stops the actor when the supervisor is dropped: its tasks would keep it alive.
struct Supervised(Addr<Tenant>);

impl Drop for Supervised {
    fn drop(&mut self) {
        self.0.do_send(Stop);
    }
}

/// Runs a tenant and restarts it whenever it dies; `make_tasks` creates its tasks.
pub(super) async fn supervise(name: String, mut make_tasks: impl FnMut() -> TenantTasks) {
    loop {
        let (alive, ended) = oneshot::channel();
        let _tenant = Supervised(Tenant { tasks: make_tasks(), _alive: alive }.start());
        // Nothing is ever sent; the channel closes when the actor is dropped.
        let _ = ended.await;
        metrics::count(Counter::TenantRecreated);
        tracing::error!(domain = name, "tenant of the Users role died; restarting it");
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[actix_web::test]
    async fn a_tenant_that_panics_is_made_anew() {
        let begun = Arc::new(AtomicU32::new(0));
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let count = Arc::clone(&begun);
        let supervisor = actix_rt::spawn(supervise("example.com".into(), move || {
            let (nth, sender) = (count.fetch_add(1, Ordering::SeqCst), sender.clone());
            let panics = async move {
                sender.send(nth).unwrap();
                assert!(nth > 0, "the first one dies");
                std::future::pending::<()>().await;
            };
            vec![Box::pin(std::future::pending()), Box::pin(panics)]
        }));
        assert_eq!((receiver.recv().await, receiver.recv().await), (Some(0), Some(1)));
        assert_eq!(begun.load(Ordering::SeqCst), 2);
        supervisor.abort();
    }
}
