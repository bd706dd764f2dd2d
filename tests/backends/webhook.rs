//! The backend `webhook`, with a receiver that checks every request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use provbroker::core::model::ids::Secret;
use provbroker::core::model::users_role::Trouble;
use provbroker::users_role::backend::{Backend, BackendError, Entered, WebhookBackend, WebhookSettings};

use crate::receiver::{Behaviour, Receiver, SECRET};
use crate::world::*;

pub struct WebhookFixture {
    _folder: tempfile::TempDir,
    receiver: Receiver,
    backend: Arc<WebhookBackend>,
}

impl Fixture for WebhookFixture {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("people.csv");
        std::fs::write(&users, csv()).unwrap();
        let receiver = Receiver::start();
        let settings = WebhookSettings {
            users,
            url: receiver.url().parse().unwrap(),
            secret: Secret::new(SECRET),
            timeout: Duration::from_secs(20),
            apps: crate::file::apps(),
            tenants: vec![domain(), other_domain()],
        };
        Self { _folder: folder, receiver, backend: Arc::new(WebhookBackend::new(settings).unwrap()) }
    }

    fn backend(&self) -> Arc<dyn Backend> {
        self.backend.clone()
    }

    /// A phone belongs to its last user: the receiver's part of the contract.
    async fn entered(&self) -> Vec<(String, String)> {
        let mut bodies: Vec<_> = self.receiver.bodies().into_values().collect();
        bodies.sort_by_key(|body| body["id"].as_str().unwrap().to_owned());
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let of_phone: BTreeMap<_, _> =
            bodies.iter().map(|body| (text(&body["device"]["hwId"]), text(&body["user"]["sip"]))).collect();
        assert_eq!(self.receiver.effects().len(), bodies.len(), "every signature is right");
        let mut all: Vec<_> = of_phone.into_iter().map(|(phone, sip)| (sip, phone)).collect();
        all.sort_unstable();
        all
    }

    async fn away(&mut self, away: bool) {
        if away { self.receiver.die().await } else { self.receiver.come_back() }
    }
}

#[tokio::test]
async fn what_a_receiver_answers_is_taken_for_what_it_means() {
    let f = WebhookFixture::start().await;
    let order = order(&*f.backend, 1, "anna", 1).await;
    for status in [408, 425, 429, 500, 502, 503] {
        f.receiver.behaviour(Behaviour::Answers(status));
        let answer = f.backend.enter(&order).await;
        assert!(matches!(answer, Err(BackendError::Later { .. })), "{status}: {answer:?}");
        assert!(!f.backend.status(&domain()).up);
    }
    // Redirections are not followed, or the receiver's operator could direct requests anywhere.
    for status in [302, 307, 400, 401, 403, 404, 409, 410, 422] {
        f.receiver.behaviour(Behaviour::Answers(status));
        let answer = f.backend.enter(&order).await;
        assert!(matches!(answer, Err(BackendError::Never { trouble: Trouble::Refused, .. })), "{status}: {answer:?}");
    }
    assert!(f.receiver.effects().is_empty());
    // The answer is lost: it is sent again, and has its effect once.
    f.receiver.behaviour(Behaviour::AcceptsAndCuts);
    assert!(matches!(f.backend.enter(&order).await, Err(BackendError::Later { .. })));
    f.receiver.behaviour(Behaviour::Accepts);
    assert_eq!(f.backend.enter(&order).await, Ok(Entered::New));
    assert_eq!(f.entered().await, pairs(&[("anna", 1)]));
    assert_eq!(f.receiver.requests(), 6 + 9 + 2);
}

#[tokio::test]
async fn a_request_says_who_gets_which_phone() {
    let f = WebhookFixture::start().await;
    let order = order(&*f.backend, 1, "anna", 1).await;
    f.backend.enter(&order).await.unwrap();
    let bodies = f.receiver.bodies();
    let (key, body) = bodies.iter().next().unwrap();
    assert_eq!(key, order.id.as_str());
    let expected = serde_json::json!({
        "event": "phone.enter", "id": key, "domain": "example.com",
        "user": {"guid": "anna", "sip": "anna", "name": "Anna Berg"},
        "device": {"hwId": "009033400001", "product": "IP112", "version": "13r3"},
        "category": "Desk phones", "app": "phone", "provisioned": 1_767_225_600,
    });
    assert_eq!(*body, expected);
}
