//! Memory of an idle device over TLS.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::support::Broker;

const DEVICES: u64 = 500;

/// Memory of one idle device, in bytes.
const ALLOWED: u64 = 12 * 1024;

/// A thread that accepts plain connections and forwards them through TLS to `to`, so that any peer can use it.
fn way_to(to: SocketAddr, config: ClientConfig) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            while let Ok((mut plain, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let name = ServerName::try_from("localhost").unwrap();
                    let sealed = connector.connect(name, TcpStream::connect(to).await.unwrap()).await;
                    let _ = copy_bidirectional(&mut plain, &mut sealed.unwrap()).await;
                });
            }
        });
    });
    told.recv().unwrap()
}

/// Bytes of resident memory per idle member; `version` of TLS, or plain.
fn idle_device(version: Option<&'static SupportedProtocolVersion>) -> u64 {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let section = format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", chain.display(), key.display());
    let mut broker = Broker::start_with(if version.is_some() { &section } else { "" });
    if let Some(version) = version {
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        broker.address = way_to(broker.address, builder.with_root_certificates(roots).with_no_client_auth());
    }
    // First-time allocations are not counted.
    let warm: Vec<_> = (0..100).map(|number| broker.register(&format!("warm-up-{number}"))).collect();
    let before = broker.status("VmRSS:");
    let open: Vec<_> = (0..DEVICES).map(|number| broker.register(&format!("idle-{number}"))).collect();
    let after = broker.status("VmRSS:");
    drop((warm, open));
    after.saturating_sub(before) * 1024 / DEVICES
}

#[test]
#[ignore = "measures memory"]
fn an_idle_device_takes_little_memory_over_tls() {
    let plain = idle_device(None);
    for (name, version) in [("1.3", &TLS13), ("1.2", &TLS12)] {
        let sealed = idle_device(Some(version));
        println!("bytes per idle device: {plain} plain, {sealed} over TLS {name}");
        assert!(sealed < ALLOWED, "{sealed} bytes over TLS {name}");
    }
}
