//! What several tests do as a client: take the one place of its address, use the pages, ask for scripts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use provbroker::config::{Account, Config};
use provbroker::core::model::accounts::{AccountName, Role};
use provbroker::core::model::ids::{DomainName, Secret};
use tokio::net::TcpStream;

use crate::support::broker::DOMAIN;
use crate::support::peer::{Device, identify};
use crate::support::raw::{Answer, exchange};
use crate::support::secrets;

/// Password of the account `anna`.
pub const PAGE_PASSWORD: &str = "password of the pages";

/// An address of the loopback.
pub const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// One unassigned device per source address: whoever comes from the same address as another one is sent away. And an
/// account.
pub fn one_place_each(config: &mut Config) {
    secrets::note(PAGE_PASSWORD);
    config.devices.max_unassigned_per_address = 1;
    config.accounts = vec![Account {
        name: AccountName::parse("anna").unwrap(),
        password: Secret::new(PAGE_PASSWORD),
        role: Role::Person,
        domain: Some(DomainName::parse(DOMAIN).unwrap()),
        sip: "anna".into(),
        shown: "Anna".into(),
    }];
}

/// Takes the place of its source address and keeps it.
pub async fn takes_place(stream: TcpStream, to: SocketAddr, fields: &[(&'static str, &str)], number: u8) -> Device {
    let mut device = Device::connect_over(stream, to, fields).await;
    device.identify(&identify(&format!("0090334105{number:02x}"))).await;
    device.quiet().await;
    device
}

/// Comes from an address whose place is taken.
pub async fn is_sent_away(stream: TcpStream, to: SocketAddr, fields: &[(&'static str, &str)], number: u8) {
    let mut device = Device::connect_over(stream, to, fields).await;
    device.identify(&identify(&format!("0090334105{number:02x}"))).await;
    device.expect_close(1013).await;
}

/// A request with header lines, each ended by CR LF.
pub async fn request(from: IpAddr, to: SocketAddr, line: &str, fields: &str, body: &str) -> Answer {
    let length = body.len();
    let text = format!("{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{body}");
    exchange(from, to, text).await
}

/// Signs in at the pages, which the browser knows as `origin`; the lines of the cookies.
pub async fn sign_in(from: IpAddr, to: SocketAddr, origin: &str, fields: &str) -> Vec<String> {
    let (_, host) = origin.split_once("://").unwrap();
    let fields = format!("Host: {host}\r\n{fields}");
    let form = request(from, to, "GET /ui/sign-in", &fields, "").await;
    assert_eq!(form.status, 200, "{}", form.body);
    let (_, token) = form.body.split_once("name=\"token\" value=\"").expect("a form");
    let token = token.split('"').next().unwrap();
    let visit = cookies(&form);
    let visit = visit[0].split(';').next().unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("token", token), ("name", "anna"), ("password", PAGE_PASSWORD)])
        .finish();
    let fields =
        format!("{fields}Cookie: {visit}\r\nOrigin: {origin}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    let answer = request(from, to, "POST /ui/sign-in", &fields, &body).await;
    assert_eq!((answer.status, answer.field("location")), (303, Some("/ui/")), "{}", answer.body);
    let lines = cookies(&answer);
    let session = lines.iter().find_map(|line| line.strip_prefix("provbroker_session=")).expect("a session");
    secrets::note(session.split(';').next().unwrap());
    lines
}

fn cookies(answer: &Answer) -> Vec<String> {
    let fields = answer.head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).map(|(_, value)| value.to_owned()).collect()
}
