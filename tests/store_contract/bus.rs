//! Signals between nodes.

use provbroker::store::Signal;

use crate::fixture::*;

pub async fn signals_reach_every_subscriber(f: impl Fixture) {
    let store = &**f.store();
    let (mut one, mut two) = (store.subscribe(), store.subscribe());
    let mail = Signal::Mail { domain: domain(), code: Some(code(1)) };
    let evict = Signal::Evict { domain: domain(), key: device(1), node: node("n1"), conn: at("n1", 4).conn };
    store.publish(&mail).await.unwrap();
    store.publish(&evict).await.unwrap();
    for receiver in [&mut one, &mut two] {
        assert_eq!(receiver.recv().await.unwrap(), mail);
        assert_eq!(receiver.recv().await.unwrap(), evict);
    }
}
