//! A simulated phone against a scripted directory and a scripted Devices service on real sockets.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::*;
use crate::core::model::ids::Secret;
use crate::core::protocol::init::{InitCode, InitPath, InitRequest};
use crate::core::protocol::script::Script;
use crate::core::protocol::sysclient::admin::{Identify, OfferedCode};
use crate::core::protocol::sysclient::frame::{DeviceEvent, FromDevice, FromServer, ServerEvent, decode_from_device};
use crate::core::session::device::client::Proof;
use crate::sim::transport::http_client;

const PASSWORD: &str = "Q7mZt2LwXc9Vb4NfKs8RpDy1HjGa6EuT";

fn code() -> Code {
    Code::parse("402817739164").unwrap()
}

/// An HTTP server: answers each request target with what `answer` returns, as long as that says to continue.
async fn serve_http(listener: &TcpListener, mut answer: impl FnMut(&str) -> (String, ControlFlow<()>)) {
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match socket.read_u8().await {
                Ok(byte) => head.push(byte),
                // The phone has dropped the request because a code was typed.
                Err(_) => break,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let Some(target) = head.split(' ').nth(1) else { continue };
        let (body, flow) = answer(target);
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        // It may have dropped the request.
        let _ = socket.write_all(text.as_bytes()).await;
        if flow.is_break() {
            return;
        }
    }
}

/// The directory: answers requests with a comment, and the one with this code with the script.
async fn directory(listener: &TcpListener, code: InitCode, script: &str) {
    serve_http(listener, |target| {
        let (path, query) = target.split_once('?').unwrap();
        let request = InitRequest::read(InitPath::read(path).unwrap(), query).unwrap();
        assert_eq!(request.mac.as_deref(), Some("00903341a0b1"));
        if request.code == code {
            (script.into(), ControlFlow::Break(()))
        } else {
            ("# wait\r\n".into(), ControlFlow::Continue(()))
        }
    })
    .await;
}

/// The side of Devices of one connection.
struct Devices {
    socket: WebSocketStream<TcpStream>,
    target: String,
}

impl Devices {
    async fn accept(listener: &TcpListener) -> Self {
        let (socket, _) = listener.accept().await.unwrap();
        let mut target = String::new();
        // The signature of the callback is given by the library.
        #[allow(clippy::result_large_err)]
        let callback = |request: &Request, response: Response| {
            target = request.uri().to_string();
            Ok(response)
        };
        let socket = accept_hdr_async(socket, callback).await.unwrap();
        Self { socket, target }
    }

    async fn send(&mut self, message: FromServer) {
        self.socket.send(Message::binary(message.encode())).await.unwrap();
    }

    async fn receive(&mut self) -> FromDevice {
        match self.socket.next().await.unwrap().unwrap() {
            Message::Binary(bytes) => decode_from_device(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn identify(&mut self) -> Identify {
        match self.receive().await {
            FromDevice::Identify(identify) => *identify,
            other => panic!("{other:?}"),
        }
    }

    /// One HTTP request through the tunnel; the whole answer.
    async fn get(&mut self, session: u32, path: &str) -> String {
        let request = Bytes::from(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        self.send(FromServer::Tunnel { session, event: ServerEvent::Send(request) }).await;
        assert_eq!(self.receive().await, FromDevice::Tunnel { session, event: DeviceEvent::SendResult });
        self.send(FromServer::Tunnel { session, event: ServerEvent::Receive(8192) }).await;
        let FromDevice::Tunnel { event: DeviceEvent::ReceiveResult(answer), .. } = self.receive().await else {
            panic!("no receive result");
        };
        self.send(FromServer::Tunnel { session, event: ServerEvent::Shutdown }).await;
        assert_eq!(self.receive().await, FromDevice::Tunnel { session, event: DeviceEvent::Shutdown });
        String::from_utf8(answer.to_vec()).unwrap()
    }
}

/// Stops a phone; Devices answers its close frame.
async fn stop(phone: Phone, mut devices: Devices) {
    let answer = async { while let Some(Ok(_)) = devices.socket.next().await {} };
    tokio::join!(phone.stop(), answer);
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn options() -> PhoneOptions {
    PhoneOptions {
        minute: Duration::from_millis(20),
        reconnect: Duration::from_millis(10),
        restart: Duration::from_millis(10),
        ..PhoneOptions::new(HardwareId::parse("00903341a0b1").unwrap())
    }
}

fn start(options: PhoneOptions) -> (Phone, mpsc::Receiver<PhoneEvent>) {
    Phone::start(options, http_client().unwrap()).unwrap()
}

/// Waits for an event that fits; those before it are dropped.
async fn until(events: &mut mpsc::Receiver<PhoneEvent>, fits: impl Fn(&PhoneEvent) -> bool) -> PhoneEvent {
    let waiting = async {
        loop {
            let event = events.recv().await.unwrap();
            if fits(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("the event comes")
}

#[tokio::test]
async fn a_phone_fresh_from_the_factory_enters_by_a_code_and_comes_back() {
    let (directory_listener, directory_address) = listen().await;
    let (devices_listener, devices_address) = listen().await;
    let sysclients = format!("ws://{devices_address}/example.com/devices/sysclients");
    let folder = tempfile::tempdir().unwrap();
    let state_file = folder.path().join("phone.json");
    let init_url = Some(format!("http://{directory_address}/init"));
    let made = PhoneOptions { init_url, state_file: Some(state_file.clone()), ..options() };
    let (phone, mut events) = start(made.clone());

    let ask = Script::ask_for_code(true, true).to_string();
    directory(&directory_listener, InitCode::None, &ask).await;
    until(&mut events, |event| *event == PhoneEvent::FormShown).await;
    directory(&directory_listener, InitCode::Prompt, "# it asks again by itself").await;
    phone.type_code(code()).await;
    until(&mut events, |event| *event == PhoneEvent::FormGone).await;
    let hand_over = Script::hand_over(&sysclients).to_string();
    directory(&directory_listener, InitCode::Code(code()), &hand_over).await;
    until(&mut events, |event| matches!(event, PhoneEvent::AddressReceived(Some(a)) if **a == *sysclients)).await;

    let mut devices = Devices::accept(&devices_listener).await;
    assert_eq!(devices.identify().await.code, OfferedCode::Code(code()));
    devices.send(FromServer::Password(Secret::new(PASSWORD))).await;
    until(&mut events, |event| *event == PhoneEvent::Member(Proof::Password)).await;
    assert!(devices.get(1, "/admin.xml").await.contains("00903341a0b1"));
    until(&mut events, |event| matches!(event, PhoneEvent::PageServed { status: 200, .. })).await;
    for command in Script::clean_up().0 {
        let path = crate::core::protocol::script::encode::command_path(&command.to_string());
        assert!(devices.get(2, &path).await.starts_with("HTTP/1.1 200 "), "{path}");
    }

    phone.kill_connection().await;
    let mut devices = Devices::accept(&devices_listener).await;
    log_in(&mut devices).await;
    stop(phone, devices).await;

    // After a restart of the program the address and the password are still there.
    let (phone, mut events) = start(made);
    let mut devices = Devices::accept(&devices_listener).await;
    log_in(&mut devices).await;
    devices.send(FromServer::Configuration { item: None, last: true }).await;
    until(&mut events, |event| *event == PhoneEvent::Member(Proof::Served)).await;
    stop(phone, devices).await;
}

/// Log-in of a known device by challenge.
async fn log_in(devices: &mut Devices) {
    assert_eq!(devices.identify().await.code, OfferedCode::None, "the code is dropped with the password");
    devices.send(FromServer::Challenge("4031886215".into())).await;
    assert!(devices.identify().await.answers("4031886215", &Secret::new(PASSWORD)));
}

#[tokio::test]
async fn an_address_set_from_the_start_goes_out_as_it_is() {
    let (listener, address) = listen().await;
    let target = "/domain.com/devices/sysclients?domain=domain.com&token=abcdef%23XYZ&category=acme%20IP%20Phone";
    let (phone, mut events) = start(PhoneOptions { sysadmin: Some(format!("ws://{address}{target}")), ..options() });
    let mut devices = Devices::accept(&listener).await;
    assert_eq!(devices.target, target);
    assert_eq!(devices.identify().await.code, OfferedCode::None);
    let connected = until(&mut events, |event| matches!(event, PhoneEvent::Connected(_))).await;
    assert!(!format!("{connected:?}").contains("abcdef"), "the token is not shown");
    devices.socket.close(None).await.unwrap();
    until(&mut events, |event| *event == PhoneEvent::Closed(Some(1005), "".into())).await;
    let devices = Devices::accept(&listener).await;
    stop(phone, devices).await;
}

#[tokio::test]
async fn a_broken_message_ends_the_connection_and_the_phone_comes_back() {
    let (listener, address) = listen().await;
    let (phone, _events) =
        start(PhoneOptions { sysadmin: Some(format!("ws://{address}/d/i/sysclients")), ..options() });
    for (message, expected) in [(Message::text("x"), 1003), (Message::binary(&b"\x03"[..]), 1002)] {
        let mut devices = Devices::accept(&listener).await;
        devices.identify().await;
        devices.socket.send(message).await.unwrap();
        match devices.socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), expected),
            other => panic!("{other:?}"),
        }
    }
    let devices = Devices::accept(&listener).await;
    stop(phone, devices).await;
}

#[tokio::test]
async fn ordered_firmware_is_loaded_and_told_after_a_restart() {
    let (http_listener, http_address) = listen().await;
    let (listener, address) = listen().await;
    let sysadmin = Some(format!("ws://{address}/d/i/sysclients"));
    let (phone, mut events) = start(PhoneOptions { sysadmin, ..options() });
    let mut devices = Devices::accept(&listener).await;
    assert_eq!(devices.identify().await.facts.fw_build.as_deref(), Some("136012"));
    let order = format!("mod cmd UP0 prot http://{http_address}/ ireset 136044");
    let path = crate::core::protocol::script::encode::command_path(&order);
    assert!(devices.get(1, &path).await.starts_with("HTTP/1.1 200 "));
    let mut asked = Vec::new();
    serve_http(&http_listener, |target| {
        asked.push(target.to_owned());
        (String::new(), ControlFlow::Break(()))
    })
    .await;
    assert_eq!(asked, ["/ip112.bin"]);
    until(&mut events, |event| matches!(event, PhoneEvent::Loaded { bytes: 0, .. })).await;
    until(&mut events, |event| *event == PhoneEvent::Restarting).await;
    let mut devices = Devices::accept(&listener).await;
    let facts = devices.identify().await.facts;
    assert_eq!((facts.fw_build.as_deref(), &*facts.version), (Some("136044"), "13r3 sr9 [13.6044/136012/300]"));
    stop(phone, devices).await;
}

#[tokio::test]
async fn a_new_address_through_the_tunnel_is_followed_after_the_answer() {
    let (old_listener, old) = listen().await;
    let (new_listener, new) = listen().await;
    let sysadmin = Some(format!("ws://{old}/d/i/sysclients"));
    let (phone, _events) = start(PhoneOptions { sysadmin, ..options() });
    let mut devices = Devices::accept(&old_listener).await;
    devices.identify().await;
    for command in Script::hand_over(&format!("ws://{new}/d/i/sysclients")).0 {
        let path = crate::core::protocol::script::encode::command_path(&command.to_string());
        if path.contains("provision") {
            break;
        }
        assert!(devices.get(1, &path).await.starts_with("HTTP/1.1 200 "), "{path}");
    }
    assert!(matches!(devices.socket.next().await, Some(Ok(Message::Close(_)))));
    drop(devices);
    let mut devices = Devices::accept(&new_listener).await;
    devices.identify().await;
    stop(phone, devices).await;
}

#[tokio::test]
async fn a_refused_code_brings_the_form_again_and_is_forgotten() {
    let (directory_listener, directory_address) = listen().await;
    let init_url = Some(format!("http://{directory_address}/init"));
    let (phone, mut events) = start(PhoneOptions { init_url, ..options() });
    let ask = Script::ask_for_code(true, false).to_string();
    for expected in [InitCode::None, InitCode::Code(code())] {
        directory(&directory_listener, expected, &ask).await;
        until(&mut events, |event| *event == PhoneEvent::FormShown).await;
        phone.type_code(code()).await;
    }
    phone.stop().await;
}
