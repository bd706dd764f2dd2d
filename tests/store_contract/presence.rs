//! Presence of members, and leases of nodes.

use crate::fixture::*;

pub async fn presence_follows_the_newest_connection(f: impl Fixture) {
    let store = &**f.store();
    let (here, there) = (at("n1", 1), at("n2", 1));
    for name in ["n1", "n2"] {
        store.renew_lease(&node(name), MINUTE).await.unwrap();
    }
    let attach = async |at| store.attach(&domain(), &device(1), at).await.unwrap();
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), None);
    assert_eq!(attach(&here).await, None);
    assert_eq!(attach(&here).await, None, "a repetition replaces nothing");
    assert_eq!(attach(&there).await, Some(here.clone()));
    assert_eq!(attach(&there).await, Some(here.clone()), "a repetition gives the same answer");
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), Some(there.clone()));
    // The end of the replaced connection changes nothing; nor does the other domain.
    store.detach(&domain(), &device(1), &here).await.unwrap();
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), Some(there.clone()));
    assert_eq!(store.whereabouts(&other_domain(), &device(1)).await.unwrap(), None);
    store.detach(&domain(), &device(1), &there).await.unwrap();
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), None);
    assert_eq!(attach(&here).await, None);
}

pub async fn a_device_is_offline_when_its_node_is_dead(f: impl Fixture) {
    let store = &**f.store();
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    store.attach(&domain(), &device(1), &at("n1", 7)).await.unwrap();
    f.advance(MINUTE / 2).await;
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    f.advance(MINUTE / 2).await;
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), Some(at("n1", 7)));
    f.advance(MINUTE).await;
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), None);
    store.renew_lease(&node("n1"), MINUTE).await.unwrap();
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), Some(at("n1", 7)));
    store.end_lease(&node("n1")).await.unwrap();
    assert_eq!(store.whereabouts(&domain(), &device(1)).await.unwrap(), None);
}
