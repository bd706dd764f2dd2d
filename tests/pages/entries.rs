//! Refused entries: an operator sees the reason and has them retried.

use provbroker::config::BackendKind;
use provbroker::core::model::ids::Secret;

use crate::PASSWORD;
use crate::browser::Browser;
use crate::persons::{code_of, leads_to, with_changed_users};
use crate::receiver::{Behaviour, Receiver, SECRET};
use crate::support::broker::{DOMAIN, Keep};
use crate::support::peer::{Device, until};

const PHONE: &str = "0090334100f1";

#[test]
fn an_operator_has_a_refused_phone_entered_again() {
    let receiver = Receiver::start();
    receiver.behaviour(Behaviour::Answers(422));
    let url = receiver.url();
    let change = move |config: &mut provbroker::config::Config| {
        config.users.backend = BackendKind::Webhook;
        config.users.webhook.users.clone_from(&config.users.file.users);
        config.users.webhook.url = url;
        config.users.webhook.secret = Secret::new(SECRET);
    };
    with_changed_users(&Keep::embedded(), change, async |broker| {
        let mut anna = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let mut operator = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
        let entries = format!("/ui/operator/d/{DOMAIN}/entries");
        let body = operator.page(&entries).await;
        assert!(body.contains("Nothing has failed.") && body.contains(">available<"), "{body}");
        let request = leads_to(&anna.submit("/ui/phones/add", "/ui/phones/add", &[]).await);
        let code = code_of(&anna.page(&request).await);
        let (_device, _) = Device::enter(broker.addr, PHONE, &code).await;
        until("the person is told", async || {
            anna.page(&request).await.contains("The telephone system has refused the phone")
        })
        .await;
        let body = operator.page(&entries).await;
        for part in ["Anna Berg", PHONE, "has refused the phone", "receiver answered 422"] {
            assert!(body.contains(part), "{part}: {body}");
        }
        let id = body.split("name=\"id\" value=\"").nth(1).unwrap()[..32].to_owned();
        receiver.behaviour(Behaviour::Accepts);
        let again = format!("{entries}/again");
        let answer = operator.submit(&entries, &again, &[("id", &*id), ("sip", "anna")]).await;
        assert_eq!(answer.field("location"), Some(&*format!("{entries}?done=1")), "{}", answer.body);
        until("it is entered", async || anna.page(&request).await.contains(">entered<")).await;
        assert_eq!(receiver.effects(), [("anna".to_owned(), PHONE.to_owned())]);
        let body = operator.page(&entries).await;
        assert!(body.contains("Nothing has failed.") && !body.contains(PHONE), "{body}");
        assert!(operator.page("/ui/operator/audit").await.contains("Tried the entry of a phone again"));
        // An entry that has not failed is not sent again, and an invalid number is refused.
        assert_eq!(operator.submit(&entries, &again, &[("id", &*id)]).await.status, 303);
        assert_eq!(operator.submit(&entries, &again, &[("id", "x")]).await.status, 400);
        let mut unassigned_device = Browser::signed_in(broker.addr, "stranger", PASSWORD).await;
        assert_eq!(unassigned_device.get(&entries).await.status, 404);
        assert_eq!(receiver.effects().len(), 1);
    });
}
