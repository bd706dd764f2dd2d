//! Collects membership changes per thread and sends them to the actors of tenants in batches.
//!
//! In a storm many devices on one thread join at the same moment, and waking the thread of the tenant for each of them
//! would cost more than the work of the tenant. A batch is sent when the thread has finished the tasks that were ready
//! when the first change was added. The changes of one connection keep their order.

use std::cell::RefCell;

use actix::Addr;

use crate::tenant::actor::TenantActor;
use crate::tenant::messages::{MembershipBatch, MembershipChange};

thread_local! {
    /// The batches of this thread that have not left yet. Domains with a storm at the same time are few, so a list is
    /// enough.
    static PENDING: RefCell<Vec<(Addr<TenantActor>, Vec<MembershipChange>)>> = const { RefCell::new(Vec::new()) };
}

/// Sends a change to a tenant, together with whatever else this thread is about to send to it.
pub fn send(tenant: &Addr<TenantActor>, change: MembershipChange) {
    let first = PENDING.with_borrow_mut(|pending| {
        let first = pending.is_empty();
        match pending.iter_mut().find(|(of, _)| of == tenant) {
            Some((_, changes)) => changes.push(change),
            None => pending.push((tenant.clone(), vec![change])),
        }
        first
    });
    if first {
        actix_rt::spawn(async {
            tokio::task::yield_now().await;
            for (tenant, changes) in PENDING.take() {
                tenant.do_send(MembershipBatch(changes));
            }
        });
    }
}
