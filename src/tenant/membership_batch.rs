//! What connections tell the actors of their domains, put together: in a storm many on one thread join in the same moment, and
//! to wake the thread of the actor for each of them would cost more than what it does.
//!
//! What is told goes out when the thread has done what was ready then. What one connection tells keeps its order.

use std::cell::RefCell;

use actix::{Addr, Message};

use crate::core::model::ids::{ConnId, DeviceKey};
use crate::device::actor::{DeviceActor, DomainLost};
use crate::lifecycle::InFlightGuard;
use crate::tenant::actor::DomainActor;

/// One thing that a connection tells.
pub enum MembershipChange {
    /// The device has become a member on this connection.
    Join(Join),
    /// The connection of a member has ended; under way until the store knows it too.
    Leave(DeviceKey, ConnId, InFlightGuard),
    /// What clients see of the device has changed.
    Changed(DeviceKey),
}

/// What several connections tell.
#[derive(Message)]
#[rtype(result = "()")]
pub struct MembershipBatch(pub Vec<MembershipChange>);

/// A device that becomes a member. An actor that ends before it has taken it in tells the connection so, like any member.
pub struct Join {
    /// The device.
    pub key: DeviceKey,
    /// Its connection.
    pub conn: ConnId,
    phone: Option<Addr<DeviceActor>>,
}

impl Join {
    /// For the connection `conn`, whose actor is `phone`.
    pub const fn new(key: DeviceKey, conn: ConnId, phone: Addr<DeviceActor>) -> Self {
        Self { key, conn, phone: Some(phone) }
    }

    /// Takes it in: from now on whoever has it tells the connection of the end.
    pub(super) const fn take_in(&mut self) -> Option<Addr<DeviceActor>> {
        self.phone.take()
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        if let Some(phone) = &self.phone {
            phone.do_send(DomainLost);
        }
    }
}

thread_local! {
    /// What this thread will tell soon. Domains with a storm at the same time are few, so a list is enough.
    static SOON: RefCell<Vec<(Addr<DomainActor>, Vec<MembershipChange>)>> = const { RefCell::new(Vec::new()) };
}

/// Tells a domain something, together with whatever else this thread is about to tell it.
pub fn tell(domain: &Addr<DomainActor>, word: MembershipChange) {
    let first = SOON.with_borrow_mut(|soon| {
        let first = soon.is_empty();
        match soon.iter_mut().find(|(of, _)| of == domain) {
            Some((_, words)) => words.push(word),
            None => soon.push((domain.clone(), vec![word])),
        }
        first
    });
    if first {
        actix_rt::spawn(async {
            tokio::task::yield_now().await;
            for (domain, words) in SOON.take() {
                domain.do_send(MembershipBatch(words));
            }
        });
    }
}
