//! The audit log.

use std::time::Duration;

use provbroker::core::model::accounts::AuditAction;
use provbroker::store::{AUDIT_KEPT, MAX_AUDIT_ENTRIES};

use crate::fixture::*;

fn action(number: usize, domain: Option<&str>) -> AuditAction {
    AuditAction {
        who: "anna".into(),
        what: "device.remove".into(),
        to: format!("device {number}").into(),
        domain: domain.map(|name| provbroker::core::model::ids::DomainName::parse(name).unwrap()),
        ..AuditAction::default()
    }
}

pub async fn audit_entries_are_listed_newest_first(f: impl Fixture) {
    let store = &**f.store();
    let note = async |number: usize, domain| {
        store.append_audit(&format!("mark-{number:04}"), &action(number, domain)).await.unwrap();
    };
    for number in 0..7 {
        note(number, [Some("example.com"), Some("other.example"), None][number % 3]).await;
        if number != 3 {
            f.advance(Duration::from_millis(3)).await;
        }
    }
    note(6, Some("example.com")).await;
    let list = async |domain, limit| {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let at = before.as_ref().map(|(at, mark): &(_, Box<str>)| (*at, &**mark));
            let page = store.audit_entries(domain, at, limit).await.unwrap();
            let Some(last) = page.last() else { return found };
            assert!(page.len() <= limit);
            before = Some((last.at, last.mark.clone()));
            found.extend(page.iter().map(|done| done.action.to[7..].parse::<usize>().unwrap()));
        }
    };
    let (own, other) = (domain(), other_domain());
    for limit in [1, 2, 100] {
        assert_eq!(list(None, limit).await, [6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(list(Some(&own), limit).await, [6, 3, 0]);
        assert_eq!(list(Some(&other), limit).await, [4, 1]);
    }
    let page = store.audit_entries(None, None, 1).await.unwrap();
    assert_eq!(page[0].action, action(6, Some("example.com")));
    f.advance(AUDIT_KEPT).await;
    assert!(list(None, 10).await.is_empty());
}

pub async fn the_audit_log_is_bounded(f: impl Fixture) {
    let store = &**f.store();
    let of_instance = AuditAction { instance: true, ..action(0, Some("other.example")) };
    store.append_audit("mark", &of_instance).await.unwrap();
    f.advance(Duration::from_millis(3)).await;
    let notes = (0..MAX_AUDIT_ENTRIES + 5).map(|number| {
        let store = std::sync::Arc::clone(f.store());
        let action = action(number, Some("example.com"));
        async move { store.append_audit(&format!("mark-{number:06}"), &action).await.unwrap() }
    });
    let mut notes = futures_util::stream::iter(notes);
    let mut notes = std::pin::pin!(futures_util::StreamExt::buffered(&mut notes, 200));
    while futures_util::StreamExt::next(&mut notes).await.is_some() {}
    let list = async |domain| store.audit_entries(domain, None, 2 * MAX_AUDIT_ENTRIES).await.unwrap();
    let (own, other) = (domain(), other_domain());
    assert_eq!(list(Some(&own)).await.len(), MAX_AUDIT_ENTRIES);
    // A tenant pushes nothing of the instance out, nor of other tenants out of their lists.
    let all = list(None).await;
    assert_eq!(all.len(), MAX_AUDIT_ENTRIES + 1);
    assert_eq!(all.last().unwrap().action, of_instance);
    assert_eq!(list(Some(&other)).await.len(), 1);
}
