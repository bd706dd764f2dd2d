//! TLS on the public listener: everything works through it, sessions are resumed at any node, and certificates change
//! at run time.

use std::path::Path;
use std::time::Duration;

use provbroker::config::{Config, TlsVersion};
use rustls::HandshakeKind::{Full, Resumed};
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::app::App;
use crate::support::broker::{ADMIN_PASSWORD, Broker, CATEGORY, DOMAIN, Keep, PASSWORD, run, with_broker};
use crate::support::peer::{Device, guarded, until};
use crate::support::raw::{LOCALHOST, connect, get};
use crate::support::rest::Operator;
use crate::support::tls::{Certificate, Client};

const PHONE: &str = "009033410701";

async fn handshakes(broker: &Broker, outcome: &str) -> u64 {
    let metrics = get(broker.ops, "/metrics").await.body;
    let name = format!("provbroker_tls_handshakes_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

#[test]
fn a_phone_enters_and_users_gets_the_notice() {
    let certificate = Certificate::new();
    with_broker(
        &Keep::embedded(),
        |config| certificate.configure(config),
        async |broker: &Broker| {
            let way = Client::new(&[&certificate]).way_to(broker.addr).await;
            let mut users = App::login(way, "users", DOMAIN, "users", PASSWORD).await;
            let code = users.administrative_code(CATEGORY, "p1").await;
            let (mut phone, password) = Device::enter(way, PHONE, &code).await;
            assert_eq!(phone.expect_admin_password(&password).await, ADMIN_PASSWORD);
            assert_eq!(users.next_notice().await["code"], code.as_str());
            phone.quiet().await;

            let operator = Operator::of(way, DOMAIN, PASSWORD).await;
            let devices = operator.done("GET", &format!("/domains/{DOMAIN}/devices"), None).await;
            assert!(devices.to_string().contains(PHONE), "{devices}");

            let mut back = Device::come_back(way, PHONE, &password).await;
            phone.expect_close(1000).await;
            assert_eq!(back.expect_admin_password(&password).await, ADMIN_PASSWORD);
            assert_eq!(get(broker.ops, "/healthz").await.status, 200, "the operations listener stays plain");
        },
    );
}

#[test]
fn a_session_is_resumed_in_both_versions() {
    let certificate = Certificate::new();
    with_broker(
        &Keep::embedded(),
        |config| certificate.configure(config),
        async |broker: &Broker| {
            for (version, protocol) in [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)] {
                let client = Client::of_versions(&[&certificate], &[version]);
                for expected in [Full, Resumed, Resumed] {
                    let visit = client.visit(broker.addr).await;
                    assert_eq!((visit.kind, visit.version), (expected, protocol));
                }
            }
        },
    );
}

#[test]
fn without_tickets_every_handshake_is_full() {
    let certificate = Certificate::new();
    let change = |config: &mut Config| {
        certificate.configure(config);
        config.tls.tickets = false;
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        for version in [&TLS13, &TLS12] {
            let client = Client::of_versions(&[&certificate], &[version]);
            for _ in 0..2 {
                assert_eq!(client.visit(broker.addr).await.kind, Full);
            }
        }
    });
}

#[test]
fn a_session_of_one_node_is_resumed_at_the_other() {
    let (keep, certificate) = (Keep::redis(), Certificate::new());
    let (one, two) =
        (Broker::on(&keep, |config| certificate.configure(config)), Broker::on(&keep, |c| certificate.configure(c)));
    run(async {
        for version in [&TLS13, &TLS12] {
            let client = Client::of_versions(&[&certificate], &[version]);
            assert_eq!(client.visit(one.addr).await.kind, Full);
            assert_eq!(client.visit(two.addr).await.kind, Resumed);
            assert_eq!(client.visit(one.addr).await.kind, Resumed);
        }
    });
}

#[test]
fn a_session_is_resumed_after_a_restart() {
    let (keep, certificate) = (Keep::embedded(), Certificate::new());
    let client = Client::new(&[&certificate]);
    for expected in [Full, Resumed] {
        let broker = Broker::on(&keep, |config| certificate.configure(config));
        assert_eq!(run(client.visit(broker.addr)).kind, expected);
    }
}

#[test]
fn a_new_certificate_is_used_without_a_restart() {
    let (first, second) = (Certificate::new(), Certificate::new());
    with_broker(
        &Keep::embedded(),
        |config| first.configure(config),
        async |broker: &Broker| {
            // A new client each time: a resumed session shows no certificate.
            let shown = async || Client::new(&[&first, &second]).visit(broker.addr).await.certificate;
            assert_eq!(shown().await, first.der);
            let way = Client::new(&[&first]).way_to(broker.addr).await;
            let mut open = App::login(way, "users", DOMAIN, "users", PASSWORD).await;
            std::fs::write(first.chain(), "half of it").unwrap();
            assert_eq!(shown().await, first.der);
            first.write(&second);
            until("the new certificate", async || shown().await == second.der).await;
            open.quiet().await;
        },
    );
}

#[test]
fn an_old_version_is_refused_if_not_allowed() {
    let certificate = Certificate::new();
    let change = |config: &mut Config| {
        certificate.configure(config);
        config.tls.min_version = TlsVersion::Tls13;
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let before = handshakes(broker, "failed").await;
        assert!(Client::of_versions(&[&certificate], &[&TLS12]).try_connect(broker.addr).await.is_err());
        until("it is counted", async || handshakes(broker, "failed").await > before).await;
        assert_eq!(Client::new(&[&certificate]).visit(broker.addr).await.version, ProtocolVersion::TLSv1_3);
    });
}

#[test]
fn invalid_tls_is_closed_and_counted() {
    let certificate = Certificate::new();
    with_broker(
        &Keep::embedded(),
        |config| certificate.configure(config),
        async |broker: &Broker| {
            for garbage in [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], &[0xff; 600], &[22, 3, 1, 0xff, 0xff, 1]]
            {
                let before = handshakes(broker, "failed").await;
                let mut stream = connect(LOCALHOST, broker.addr).await;
                stream.write_all(garbage).await.unwrap();
                let mut rest = Vec::new();
                // At most an alert, then the end or a reset.
                let _ = guarded("the end", stream.read_to_end(&mut rest)).await;
                assert!(rest.len() < 16 && !rest.starts_with(b"HTTP"), "{rest:?}");
                until("it is counted", async || handshakes(broker, "failed").await > before).await;
            }
            assert_eq!(Client::new(&[&certificate]).visit(broker.addr).await.kind, Full);
        },
    );
}

#[test]
fn a_handshake_that_takes_too_long_is_cut() {
    let certificate = Certificate::new();
    let change = |config: &mut Config| {
        certificate.configure(config);
        config.tls.handshake_timeout = Duration::from_millis(50);
    };
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let before = handshakes(broker, "timed_out").await;
        let mut stream = connect(LOCALHOST, broker.addr).await;
        // The beginning of a record that never ends.
        stream.write_all(&[22, 3, 1, 1, 0]).await.unwrap();
        assert_eq!(guarded("the end", stream.read(&mut [0; 16])).await.unwrap_or(0), 0);
        until("it is counted", async || handshakes(broker, "timed_out").await > before).await;
    });
}

#[test]
fn only_http_1_1_is_agreed_on() {
    let certificate = Certificate::new();
    with_broker(
        &Keep::embedded(),
        |config| certificate.configure(config),
        async |broker: &Broker| {
            let offering = |protocols: &[&[u8]]| Client::offering(&certificate, protocols);
            let stream = offering(&[b"h2", b"http/1.1"]).try_connect(broker.addr).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert!(offering(&[b"h2"]).try_connect(broker.addr).await.is_err());
        },
    );
}

#[test]
fn mismatched_files_prevent_the_start_with_one_line() {
    let (one, other, keep) = (Certificate::new(), Certificate::new(), Keep::embedded());
    let line = |chain: &Path, key: &Path| {
        let mut config = crate::support::broker::config(&keep.url());
        (config.tls.certificate, config.tls.key) = (chain.into(), key.into());
        let start = provbroker::app::Broker::start(config, provbroker::lifecycle::Shutdown::new());
        let error = actix_rt::System::new().block_on(start).err().expect("it must not start");
        format!("{error:#}")
    };
    let missing = one.chain().with_file_name("none.pem");
    for (line, expected) in [
        (line(&one.chain(), &other.key()), "does not belong to the certificate"),
        (line(&missing, &one.key()), "tls.certificate: "),
        (line(&one.key(), &one.key()), "holds no certificate"),
        (line(&one.chain(), &one.chain()), "holds no private key"),
    ] {
        assert!(line.contains(expected) && !line.contains('\n'), "{expected}: {line}");
    }
}
