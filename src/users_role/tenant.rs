//! One tenant on this node: an actor that keeps its link, its orders and its roll-outs going. If anything in it panics the actor
//! dies, and its supervisor makes it anew; everything that matters is in the store.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use futures_util::future::LocalBoxFuture;
use tokio::sync::{Notify, oneshot};

use super::backend::Backend;
use crate::metrics::{self, Counter};
use crate::store::Store;
use crate::users_role::devices_link::Link;
use crate::users_role::order_intake::Placing;
use crate::users_role::progress_poller::ProgressPoller;

/// Between the death of a tenant and its successor.
const AGAIN: Duration = Duration::from_secs(1);

/// What a tenant and the pages share.
pub(super) struct TenantShared {
    pub store: Arc<dyn Store>,
    pub link: Link,
    pub backend: Arc<dyn Backend>,
    pub placing: Placing,
    pub poller: ProgressPoller,
    /// Wakes those who make the codes of roll-outs.
    pub rollouts: Notify,
}

/// The work of a tenant: each is carried on until the actor ends.
pub(super) type Work = Vec<LocalBoxFuture<'static, ()>>;

struct Tenant {
    work: Work,
    /// Tells the supervisor of the end, also by a panic.
    _alive: oneshot::Sender<()>,
}

impl Actor for Tenant {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        for work in std::mem::take(&mut self.work) {
            ctx.spawn(work.into_actor(self));
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

/// Ends a tenant with its supervisor: its work would keep it alive.
struct Supervised(Addr<Tenant>);

impl Drop for Supervised {
    fn drop(&mut self) {
        self.0.do_send(Stop);
    }
}

/// Keeps a tenant alive: `begin` makes its work, now and whenever it has died.
pub(super) async fn supervise(name: String, mut begin: impl FnMut() -> Work) {
    loop {
        let (alive, ended) = oneshot::channel();
        let _tenant = Supervised(Tenant { work: begin(), _alive: alive }.start());
        // Nothing is ever sent: it resolves when the actor is dropped.
        let _ = ended.await;
        metrics::count(Counter::TenantRecreated);
        tracing::error!(domain = name, "the Users of this tenant died and are made anew");
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
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let count = Arc::clone(&begun);
        let supervisor = actix_rt::spawn(supervise("example.com".into(), move || {
            let (nth, told) = (count.fetch_add(1, Ordering::SeqCst), told.clone());
            let panics = async move {
                told.send(nth).unwrap();
                assert!(nth > 0, "the first one dies");
                std::future::pending::<()>().await;
            };
            vec![Box::pin(std::future::pending()), Box::pin(panics)]
        }));
        assert_eq!((hears.recv().await, hears.recv().await), (Some(0), Some(1)));
        assert_eq!(begun.load(Ordering::SeqCst), 2);
        supervisor.abort();
    }
}
