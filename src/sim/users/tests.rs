//! The simulated Users against a scripted service on a real socket.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;
use crate::core::model::ids::Secret;

const CODE: &str = "402817739164";

/// The service's side of one connection.
struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (socket, _) = listener.accept().await.unwrap();
        Self(accept_async(socket).await.unwrap())
    }

    async fn receive(&mut self, mt: &str) -> Value {
        let message = self.0.next().await.unwrap().unwrap();
        let value: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        assert_eq!(value["mt"], mt);
        value
    }

    async fn send(&mut self, value: Value) {
        self.0.send(Message::text(value.to_string())).await.unwrap();
    }

    async fn log_in(&mut self, ok: bool) {
        self.receive("AppChallenge").await;
        self.send(json!({"mt": "AppChallengeResult", "challenge": "4400918273645566"})).await;
        self.receive("AppLogin").await;
        self.send(json!({"mt": "AppLoginResult", "ok": ok, "domain": "example.com", "error": "LOGIN_FAILED"})).await;
    }
}

async fn start() -> (TcpListener, Users, mpsc::Receiver<UsersEvent>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/example.com/devices", listener.local_addr().unwrap());
    let login = Login {
        app: "innovaphone-devices-api".into(),
        domain: "example.com".into(),
        sip: "".into(),
        guid: "".into(),
        dn: "".into(),
        password: Secret::new("domain-secret"),
    };
    let options = UsersOptions { reconnect: Duration::from_millis(10), ..UsersOptions::new(url, login) };
    let (users, events) = Users::start(options);
    (listener, users, events)
}

fn device() -> Value {
    json!({"id": 31, "hwId": "00903341a0b1", "product": "IP112", "version": "13r3", "type": "PHONE", "online": true})
}

async fn next_notice(events: &mut mpsc::Receiver<UsersEvent>) -> Notice {
    loop {
        if let UsersEvent::Notice(notice) = events.recv().await.unwrap() {
            return notice;
        }
    }
}

#[tokio::test]
async fn a_code_is_asked_for_and_its_notice_is_found_after_a_lost_connection() {
    let (listener, mut users, mut events) = start().await;
    let service = async {
        let mut peer = Peer::accept(&listener).await;
        peer.log_in(true).await;
        let ask = peer.receive("GetProvisioningCode").await;
        assert_eq!((&ask["category"], &ask["sip"], &ask["rollout"]), (&json!("Desk"), &json!("anna"), &json!(true)));
        let answer = json!({"mt": "GetProvisioningCodeResult", "src": ask["src"], "code": CODE, "validUntil": 5});
        peer.send(answer).await;
        drop(peer);
        let mut peer = Peer::accept(&listener).await;
        peer.log_in(true).await;
        let ask = peer.receive("GetProvisionedDevice").await;
        let answer = json!({"mt": "GetProvisionedDeviceResult", "src": ask["src"], "code": CODE, "device": device()});
        peer.send(answer).await;
        peer
    };
    let user = async {
        users.ready().await.unwrap();
        let (code, valid_until) = users.code("Desk", Some("anna"), true).await.unwrap();
        assert_eq!((code.expose(), valid_until), (CODE, 5));
        let notice = next_notice(&mut events).await;
        assert!(notice.asked && !notice.again && &*notice.device.hw_id == "00903341a0b1");
    };
    let (mut peer, ()) = tokio::join!(service, user);
    let ((), end) = tokio::join!(users.stop(), peer.0.next());
    assert!(matches!(end, Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 1000));
}

#[tokio::test]
async fn a_refused_log_in_is_told_and_not_repeated() {
    let (listener, mut users, mut events) = start().await;
    let service = async {
        let mut peer = Peer::accept(&listener).await;
        peer.log_in(false).await;
        assert!(matches!(peer.0.next().await, Some(Ok(Message::Close(_)))));
        peer
    };
    let (_peer, ready) = tokio::join!(service, users.ready());
    assert_eq!(ready, Err(LoginError::Refused("LOGIN_FAILED".into())));
    while !matches!(events.recv().await.unwrap(), UsersEvent::Closed(..)) {}
    assert_eq!(users.categories(None).await, Err(AskError::Offline));
    let again = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(again.is_err(), "it stays away");
    users.reconnect().await;
    assert!(listener.accept().await.is_ok(), "until it is told to reconnect");
}

#[tokio::test]
async fn pings_are_answered_and_a_client_told_to_leave_stays_away() {
    let (listener, mut users, mut events) = start().await;
    let service = async {
        let mut peer = Peer::accept(&listener).await;
        peer.log_in(true).await;
        peer.send(json!({"mt": "DeviceProvisioned", "code": CODE, "device": [device()]})).await;
        peer.0.send(Message::Ping("token".into())).await.unwrap();
        assert!(matches!(peer.0.next().await, Some(Ok(Message::Pong(token))) if token == "token"));
        peer
    };
    let (mut peer, ready) = tokio::join!(service, users.ready());
    assert_eq!(ready, Ok(()));
    assert!(!next_notice(&mut events).await.asked);
    let ((), end) = tokio::join!(users.disconnect(), peer.0.next());
    assert!(matches!(end, Some(Ok(Message::Close(_)))));
    assert!(tokio::time::timeout(Duration::from_millis(100), listener.accept()).await.is_err());
    let service = async {
        let mut peer = Peer::accept(&listener).await;
        peer.log_in(true).await;
        peer
    };
    let user = async {
        users.reconnect().await;
        users.ready().await
    };
    assert_eq!(tokio::join!(service, user).1, Ok(()));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_an_error_of_the_first_attempt() {
    let (listener, mut users, _events) = start().await;
    drop(listener);
    // The kernel may have accepted the first connection before the listener was dropped; it then ends without an
    // answer.
    assert!(matches!(users.ready().await, Err(LoginError::Unreachable(_))));
    users.stop().await;
}
