//! Offers of devices from one domain to another.

use provbroker::store::Offer;

use crate::fixture::*;

pub async fn an_offer_ends(f: impl Fixture) {
    let store = &**f.store();
    let offer = |number| Offer { key: device(number), from: domain() };
    store.offer(&other_domain(), &offer(1), DAY).await.unwrap();
    let ends = store.offer_ends(&other_domain(), &device(1)).await.unwrap().unwrap();
    let now = store.now().await.unwrap();
    assert!(ends <= now + DAY && now + nearly(DAY) < ends);
    assert_eq!(store.offer_ends(&other_domain(), &device(2)).await.unwrap(), None);
    assert_eq!(store.offer_ends(&domain(), &device(1)).await.unwrap(), None);
    f.advance(nearly(DAY)).await;
    store.offer(&other_domain(), &offer(2), DAY).await.unwrap();
    store.offer(&other_domain(), &offer(2), DAY).await.unwrap();
    assert_eq!(store.offers(&other_domain()).await.unwrap(), [offer(1), offer(2)]);
    assert!(store.offers(&domain()).await.unwrap().is_empty());
    f.advance(2 * MINUTE).await;
    assert_eq!(store.offers(&other_domain()).await.unwrap(), [offer(2)]);
    assert!(!store.end_offer(&other_domain(), &device(1)).await.unwrap());
    assert!(!store.end_offer(&domain(), &device(2)).await.unwrap());
    assert!(store.end_offer(&other_domain(), &device(2)).await.unwrap());
    assert!(!store.end_offer(&other_domain(), &device(2)).await.unwrap());
    assert!(store.offers(&other_domain()).await.unwrap().is_empty());
}
