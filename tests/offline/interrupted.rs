//! The store goes away in the middle of an import; the same file is imported again.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::broker::{Broker, DOMAIN, Keep, config, run};
use crate::support::peer::until;
use crate::support::redis_server::RedisServer;
use crate::support::rest::Operator;
use crate::world::{Desk, empty, rollout};

/// Between a broker and its store: lets so many portions of the broker pass, and then nothing any more until it is opened.
struct Gate {
    addr: SocketAddr,
    left: Arc<AtomicI64>,
}

impl Gate {
    fn before(store: u16) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let count = Arc::clone(&left);
        std::thread::spawn(move || {
            run(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (broker, _) = listener.accept().await.unwrap();
                    tokio::spawn(pass(broker, store, Arc::clone(&count)));
                }
            });
        });
        Self { addr, left }
    }

    fn close_after(&self, portions: i64) {
        self.left.store(portions, Ordering::SeqCst);
    }

    fn open(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }
}

async fn pass(mut broker: TcpStream, store: u16, left: Arc<AtomicI64>) {
    if left.load(Ordering::SeqCst) <= 0 {
        return;
    }
    let Ok(mut store) = TcpStream::connect((Ipv4Addr::LOCALHOST, store)).await else { return };
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            length = broker.read(&mut asked) => {
                let Ok(length @ 1..) = length else { return };
                if left.fetch_sub(1, Ordering::SeqCst) <= 0 || store.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            length = store.read(&mut answered) => {
                let Ok(length @ 1..) = length else { return };
                if broker.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[test]
fn an_import_that_was_interrupted_is_completed_by_the_next() {
    let desk = Desk::new();
    let keep = Keep::redis();
    let centre = Broker::on(&keep, |_| {});
    let users: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    run(async {
        let operator = Operator::of_instance(centre.addr).await;
        for server in ["a.example", "b.example"] {
            let job = json!({"kind": "ntp", "values": {"server": server}});
            operator.done("POST", &format!("/domains/{DOMAIN}/config-jobs"), Some(job)).await;
        }
        let (id, _) = rollout(&operator, &users).await;
        desk.export(&centre, "out", &["--rollout", &id]);
    });
    let mut interrupted = 0;
    for portions in [2, 5, 9, 14, 20, 30, 45] {
        let redis = RedisServer::start(&[]);
        let gate = Gate::before(redis.port());
        let mut settings = config(&format!("redis://{}", gate.addr));
        empty(&mut settings);
        let site = Broker::start(settings);
        gate.close_after(portions);
        let first = desk.run(&site, &["import", "out", "--key-file", "key"], None);
        gate.open();
        interrupted += u32::from(first.code != 0);
        run(async {
            // The broker connects to its store again by itself; until then an import is refused.
            let again = async || desk.run(&site, &["import", "out", "--key-file", "key"], None).code == 0;
            until("the import is complete", again).await;
            let operator = Operator::of_instance(site.addr).await;
            let jobs = operator.get(&format!("/domains/{DOMAIN}/jobs")).await;
            assert_eq!(jobs["jobs"].as_array().unwrap().len(), 2, "{portions}: {first:?}");
            let codes = operator.get(&format!("/domains/{DOMAIN}/codes?limit=1000&state=open")).await;
            assert_eq!(codes["codes"].as_array().unwrap().len(), 200, "{portions}: {first:?}");
            assert_eq!(site.store().open_listings().await.unwrap(), 200, "{portions}: {first:?}");
            assert_eq!(desk.import(&site, "out")["outcome"], "known");
        });
    }
    assert!(interrupted > 1, "the store went away too late");
}
