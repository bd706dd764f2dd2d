//! When a notice counts as delivered, and who gets it otherwise (`docs/protocol/devices-api.md` 2.5).

use std::time::Duration;

use provbroker::config::Config;
use provbroker::core::model::ids::DomainName;
use serde_json::{Value, json};

use crate::support::app::{App, app_digest};
use crate::support::broker::{Broker, CATEGORY, DOMAIN, INSTANCE, PASSWORD};
use crate::support::peer::{Device, until};
use crate::support::raw::{PING, PONG, Raw, TEXT, frame};

const PHONE: &str = "0090334100d1";

/// Users, with the same log-in each time.
async fn users(broker: &Broker) -> App {
    App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await
}

/// Number of notices in the mailbox.
async fn depth(broker: &Broker) -> u64 {
    broker.store().depth(&DomainName::parse(DOMAIN).unwrap()).await.unwrap()
}

/// A phone has entered while no Users was connected; returns its code.
async fn entered_without_users(broker: &Broker) -> String {
    let mut asking = users(broker).await;
    let code = asking.code(CATEGORY, "p1").await;
    asking.leave().await;
    let (phone, _) = Device::enter(broker.addr, PHONE, &code).await;
    phone.leave().await;
    until("the notice is in the mailbox", async || depth(broker).await == 1).await;
    code
}

/// Users as a client that answers no pings of its WebSocket.
struct SilentClient(Raw);

impl SilentClient {
    async fn login(broker: &Broker) -> Self {
        let mut this = Self(Raw::upgrade(broker.addr, INSTANCE).await);
        let challenge = this.ask(&json!({"mt": "AppChallenge"})).await["challenge"].as_str().unwrap().to_owned();
        let digest = app_digest("users", DOMAIN, "users", &challenge, PASSWORD);
        let login = json!({"mt": "AppLogin", "app": "users", "domain": DOMAIN, "sip": "users", "digest": digest});
        assert_eq!(this.ask(&login).await["ok"], true);
        this
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.0.send(&frame(TEXT, message.to_string().as_bytes())).await;
        self.text().await
    }

    async fn text(&mut self) -> Value {
        let (first, payload) = self.0.frame().await;
        assert_eq!(first, TEXT);
        serde_json::from_slice(&payload).unwrap()
    }

    /// Reads a notice and the ping after it; returns the payload of the ping.
    async fn notice(&mut self, code: &str) -> Vec<u8> {
        assert_eq!(self.text().await["code"], code);
        let (first, payload) = self.0.frame().await;
        assert_eq!(first, PING);
        payload
    }
}

fn quick(timeout: u64, hold: u64) -> impl Fn(&mut Config) {
    move |config| {
        config.apps.notice_timeout = Duration::from_millis(timeout);
        config.apps.notice_hold = Duration::from_millis(hold);
    }
}

on_each_store!(users_away_is_served_at_its_next_log_in, |_| {}, async |broker: &Broker| {
    let code = entered_without_users(broker).await;
    // A connection that does not act as Users is there before.
    let mut other = App::login(broker.addr, "innovaphone-devices-api", DOMAIN, "boss", PASSWORD).await;
    other.quiet().await;
    let notice = users(broker).await.next_notice().await;
    assert_eq!((&notice["code"], &notice["src"]), (&json!(code), &Value::Null));
    assert_eq!(notice["device"]["hwId"], PHONE);
    other.quiet().await;
});

on_each_store!(whoever_acts_as_users_is_served, |_| {}, async |broker: &Broker| {
    let code = entered_without_users(broker).await;
    let mut other = App::login(broker.addr, "innovaphone-devices-api", DOMAIN, "boss", PASSWORD).await;
    other.quiet().await;
    other.request(json!({"mt": "GetProvisioningCategories"})).await;
    let notice = other.next_notice().await;
    assert_eq!((&notice["code"], &notice["src"]), (&json!(code), &Value::Null));
});

on_each_store!(whoever_asks_for_the_code_gets_the_notice_under_its_mark, |_| {}, async |broker: &Broker| {
    let mut asking = users(broker).await;
    let code = asking.code(CATEGORY, "p1").await;
    asking.leave().await;
    let mut other = App::login(broker.addr, "innovaphone-devices-api", DOMAIN, "boss", PASSWORD).await;
    other.request(json!({"mt": "GetProvisionedDevice", "code": code, "src": "mine"})).await;
    let (_phone, _) = Device::enter(broker.addr, PHONE, &code).await;
    let notice = other.next_notice().await;
    assert_eq!((&notice["code"], &notice["src"]), (&json!(code), &json!("mine")));
});

on_each_store!(
    who_neither_pongs_nor_speaks_is_closed_and_the_notice_goes_on,
    quick(300, 50),
    async |broker: &Broker| {
        let code = entered_without_users(broker).await;
        let mut silent = SilentClient::login(broker).await;
        silent.notice(&code).await;
        assert_eq!(silent.0.close_code().await, 1008);
        assert_eq!(users(broker).await.next_notice().await["code"], code);
    }
);

on_each_store!(a_pong_and_some_time_settle, quick(20_000, 50), async |broker: &Broker| {
    let code = entered_without_users(broker).await;
    let mut silent = SilentClient::login(broker).await;
    let token = silent.notice(&code).await;
    silent.0.send(&frame(PONG, &token)).await;
    until("the notice is settled", async || depth(broker).await == 0).await;
    // It is settled: nobody gets it again.
    users(broker).await.quiet().await;
});

on_each_store!(a_pong_of_another_ping_settles_nothing, quick(300, 50), async |broker: &Broker| {
    let code = entered_without_users(broker).await;
    let mut silent = SilentClient::login(broker).await;
    silent.notice(&code).await;
    silent.0.send(&frame(PONG, b"12345678")).await;
    silent.0.send(&frame(PONG, b"")).await;
    assert_eq!(silent.0.close_code().await, 1008);
    assert_eq!(depth(broker).await, 1);
});

on_each_store!(who_leaves_right_after_the_pong_was_not_told, quick(20_000, 3_600_000), async |broker: &Broker| {
    let code = entered_without_users(broker).await;
    let mut silent = SilentClient::login(broker).await;
    let token = silent.notice(&code).await;
    silent.0.send(&frame(PONG, &token)).await;
    // The pong has been read when this is answered.
    silent.ask(&json!({"mt": "KeepAlive"})).await;
    drop(silent);
    assert_eq!(users(broker).await.next_notice().await["code"], code);
});

on_each_store!(who_speaks_but_never_pongs_has_been_told, quick(300, 50), async |broker: &Broker| {
    let code = entered_without_users(broker).await;
    let mut silent = SilentClient::login(broker).await;
    silent.notice(&code).await;
    silent.ask(&json!({"mt": "KeepAlive"})).await;
    until("the notice is settled", async || depth(broker).await == 0).await;
    assert_eq!(silent.ask(&json!({"mt": "KeepAlive"})).await, json!({"mt": "KeepAlive"}), "and stays");
});
