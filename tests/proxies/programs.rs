//! `HAProxy` and nginx for a test: the programs of the system with a file of `examples/proxies/`, on a free port.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::broker::Broker;
use crate::support::peer::until;
use crate::support::tls::Certificate;

/// A running proxy; killed and cleaned up when it is dropped.
pub struct Proxy {
    child: Child,
    pub addr: SocketAddr,
    dir: TempDir,
}

impl Proxy {
    /// `HAProxy` in front of a broker.
    pub async fn haproxy(example: &str, broker: &Broker, certificate: &Certificate) -> Self {
        Self::start(example, broker, certificate, |file| {
            let mut command = Command::new(program("haproxy"));
            command.arg("-db").arg("-f").arg(file);
            command
        })
        .await
    }

    /// nginx in front of a broker.
    pub async fn nginx(example: &str, broker: &Broker, certificate: &Certificate) -> Self {
        Self::start(example, broker, certificate, |file| {
            let mut command = Command::new(program("nginx"));
            let folder = file.parent().unwrap().display();
            command.arg("-e").arg("stderr").arg("-c").arg(file);
            command.arg("-g").arg(format!("daemon off; pid {folder}/pid; error_log stderr warn;"));
            command
        })
        .await
    }

    async fn start(
        example: &str,
        broker: &Broker,
        certificate: &Certificate,
        command: impl FnOnce(&std::path::Path) -> Command,
    ) -> Self {
        let (dir, addr) = (tempfile::tempdir().unwrap(), free_address());
        let example = format!("{}/examples/proxies/{example}", env!("CARGO_MANIFEST_DIR"));
        let mut text = std::fs::read_to_string(&example).unwrap();
        let pem = dir.path().join("both.pem");
        let both = [certificate.chain(), certificate.key()].map(|file| std::fs::read_to_string(file).unwrap());
        std::fs::write(&pem, both.concat()).unwrap();
        let (chain, key) = (certificate.chain(), certificate.key());
        for (from, to) in [
            ("0.0.0.0:443", addr.to_string()),
            ("10.0.0.11:8443", broker.addr.to_string()),
            ("10.0.0.11:8080", broker.addr.to_string()),
            ("check port 9090", format!("check port {}", broker.ops.port())),
            ("/etc/haproxy/broker.example.pem", pem.display().to_string()),
            ("/etc/nginx/broker.example.pem", chain.display().to_string()),
            ("/etc/nginx/broker.example.key", key.display().to_string()),
            ("modules/ngx_stream_module.so", "/usr/lib/nginx/modules/ngx_stream_module.so".into()),
            ("maxconn 100000", "maxconn 100".into()),
            ("worker_connections 16384", "worker_connections 100".into()),
        ] {
            text = text.replace(from, &to);
        }
        // Files for bodies that nginx does not keep in memory.
        let scratch = dir.path().display();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {scratch}/{kind};\n"))
            .concat();
        text = text.replace("http {\n", &format!("http {{\n    access_log off;\n{paths}"));
        let file = dir.path().join("proxy.conf");
        std::fs::write(&file, text).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = command(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("make tools installs haproxy and nginx");
        let mut proxy = Self { child, addr, dir };
        until("the proxy listens", async || {
            let ended = proxy.child.try_wait().unwrap();
            assert!(ended.is_none(), "{example}: {}", proxy.log());
            TcpStream::connect(addr).is_ok()
        })
        .await;
        proxy
    }

    /// What the proxy has to say.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx ends its workers only if it is asked to.
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// The program, also where only the path of administrators leads.
fn program(name: &str) -> String {
    let there = format!("/usr/sbin/{name}");
    if std::path::Path::new(&there).exists() { there } else { name.to_owned() }
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
