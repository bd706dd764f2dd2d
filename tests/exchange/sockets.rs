//! The simulated exchange on real sockets, seen by a plain WebSocket client and server.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use provbroker::core::model::ids::Secret;
use provbroker::core::model::time::Tick;
use provbroker::core::protocol::appws::login::{AppIdentity, write_login};
use provbroker::core::protocol::json::Object;
use provbroker::sim::exchange::machine::ExchangeSim;
use provbroker::sim::exchange::run::{ConnectionSource, Running};
use provbroker::sim::exchange::switches::Switches;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, connect_async};

use super::world::identity;

fn sim(switches: Switches) -> ExchangeSim {
    let mut sim = ExchangeSim::new(identity(), switches);
    let guid = sim.add_user("Anna", "anna", Tick(0));
    sim.set_devices(&guid, &format!(r#"[{{"hw":"x","text":"{}"}}]"#, "long ".repeat(2_000)), Tick(0));
    sim
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn it_answers_in_fragments_and_keeps_its_objects_over_a_restart() {
    let mut machine = sim(Switches { fragments: true, ..Switches::default() });
    for _ in 0..2 {
        let pbx = Running::start(machine, ConnectionSource::Listen(listener().await)).unwrap();
        let (mut socket, _) =
            connect_async(format!("ws://{}/PBX0/APPS/websocket", pbx.address().unwrap())).await.unwrap();
        socket.send(Message::text(r#"{"mt":"AppChallenge"}"#)).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap().into_text().unwrap();
        let challenge = Object::parse(answer.as_bytes()).unwrap().str("challenge").unwrap().to_owned();
        let identity = AppIdentity { app: "users-sim", ..AppIdentity::default() };
        let login = write_login(&identity, None, &challenge, &Secret::new("Simulator1"));
        socket.send(Message::text(login)).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap().into_text().unwrap().contains(r#""ok":true"#));
        socket.send(Message::text(r#"{"mt":"GetObject","api":"PbxAdminApi","cn":"Anna","src":"1"}"#)).await.unwrap();
        let object = socket.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(object.len() > 10_000 && object.contains(r#""h323":"anna""#), "joined of three fragments");
        machine = pbx.stop().await.unwrap();
        assert!(socket.next().await.is_none_or(|end| end.is_err()), "broken off");
    }
    assert_eq!((machine.observed.logged_in, machine.objects.len()), (2, 1));
}

#[tokio::test]
async fn it_connects_and_comes_back() {
    let server = listener().await;
    let url = format!("ws://{}/example.com/users", server.local_addr().unwrap());
    let source = ConnectionSource::Dial { url, again: Duration::from_millis(1) };
    let pbx = Running::start(sim(Switches::default()), source).unwrap();
    for _ in 0..2 {
        let (stream, _) = server.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        let first = socket.next().await.unwrap().unwrap().into_text().unwrap();
        assert_eq!(first.as_str(), r#"{"mt":"AppChallenge"}"#);
        socket.send(Message::text(r#"{"mt":"AppChallengeResult","challenge":"1"}"#)).await.unwrap();
        let login = socket.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(login.contains(r#""appobj":"users-sim""#), "{login}");
        drop(socket);
    }
    pbx.stop().await.unwrap();
}
