//! The Users role reaches the Devices of its own process without passing the limits of strangers.

use std::pin::pin;

use serde_json::json;

use super::world::*;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, Keep, PASSWORD, run};
use crate::support::raw::{LOCALHOST, exchange};

/// The status of a request for a token from this machine.
async fn token(broker: &Broker, domain: &str, password: &str) -> u16 {
    let body = json!({"domain": domain, "password": password}).to_string();
    let request = format!(
        "POST /api/v1/token HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        broker.addr,
        body.len()
    );
    exchange(LOCALHOST, broker.addr, &request).await.status
}

/// Seen before: sixty wrong passwords from loopback, as a proxy on the same machine makes them, and the Users role of
/// the process was refused.
#[test]
fn guessing_from_this_machine_does_not_hold_up_the_own_users_role() {
    let (keep, files) = (Keep::embedded(), Files::new());
    run(async {
        let (broker, users_role) = started(&keep, &files).await;
        let anna = users_role.user(&domain(), "anna").await.unwrap().unwrap();
        let request = users_role.add_phone(&domain(), &anna, CATEGORY, "phone").await.unwrap();
        for number in 0..60 {
            let name = format!("name{}.example", number % 12);
            assert_eq!(token(&broker, &name, &format!("guess {number}")).await, 403);
        }
        // From now on strangers at this address get a decision every five seconds.
        let mut stranger = pin!(token(&broker, DOMAIN, PASSWORD));
        tokio::select! {
            biased;
            _ = &mut stranger => panic!("it did not wait"),
            cancelled = users_role.cancel(&domain(), &request.id) => assert!(cancelled.unwrap()),
        }
        assert_eq!(stranger.await, 200);
    });
}
