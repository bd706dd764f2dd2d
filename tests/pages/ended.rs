//! What has ended stays ended: sessions, streams and accounts, with their password, their account and their domain.

// The time until a change is seen is what is tested.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use serde_json::json;

use crate::browser::Browser;
use crate::support::broker::{Broker, Keep, run, with_broker};
use crate::support::raw::Raw;
use crate::support::rest::Operator;
use crate::support::secrets;
use crate::{PASSWORD, accounts};

const SHOP: &str = "shop.example";
const SHOP_PASSWORD: &str = "password-of-the-first-shop";
const HOLDER: &str = "keeper";

/// Longest time from the answer to a change to its effect at another node.
const WITHIN: Duration = Duration::from_secs(1);

/// A stream of events for the browser.
async fn stream(at: &Broker, browser: &Browser, target: &str) -> Raw {
    let mut stream = Raw::connect(at.addr).await;
    let cookie = &browser.cookies["provbroker_session"];
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nCookie: provbroker_session={cookie}\r\nAccept: text/event-stream\r\n\
         Connection: close\r\n\r\n",
        at.addr
    );
    stream.send(request.as_bytes()).await;
    let head = stream.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    stream
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get("/ui/account").await.status == 200
}

#[test]
fn a_removed_account_ends_sessions_and_streams_at_every_node() {
    let keep = Keep::redis();
    let (one, two) = (Broker::on(&keep, accounts), Broker::on(&keep, accounts));
    run(async {
        let mut root = Browser::signed_in(one.addr, "root", PASSWORD).await;
        for (account, target) in
            [("operator", "/ui/operator/accounts/remove"), ("stranger", "/ui/operator/accounts/password")]
        {
            let mut browser = Browser::signed_in(two.addr, account, PASSWORD).await;
            let mut events = stream(&two, &browser, "/ui/operator/events").await;
            let fields = [("name", account), ("password", "a new password of it")];
            assert_eq!(root.submit("/ui/operator/accounts", target, &fields).await.status, 303);
            let changed = Instant::now();
            events.rest().await;
            println!("stream at the other node ended {:?} after the answer", changed.elapsed());
            assert!(changed.elapsed() < WITHIN, "{:?}", changed.elapsed());
            assert!(!is_signed_in(&mut browser).await);
        }
    });
}

#[test]
fn a_sign_out_ends_the_streams_of_the_session() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut browser = Browser::signed_in(broker.addr, "operator", PASSWORD).await;
        let mut events = stream(broker, &browser, "/ui/operator/events").await;
        assert_eq!(browser.submit("/ui/account", "/ui/sign-out", &[]).await.status, 303);
        let out = Instant::now();
        events.rest().await;
        assert!(out.elapsed() < WITHIN, "{:?}", out.elapsed());
    });
}

#[test]
fn accounts_and_sessions_end_with_their_domain() {
    let keep = Keep::redis();
    let (one, two) = (Broker::on(&keep, accounts), Broker::on(&keep, accounts));
    run(async {
        secrets::note(SHOP_PASSWORD);
        let rest = Operator::of_instance(one.addr).await;
        let shop = json!({"name": SHOP, "password": SHOP_PASSWORD});
        rest.done("POST", "/domains", Some(shop.clone())).await;
        let mut root = Browser::signed_in(one.addr, "root", PASSWORD).await;
        let fields = [("name", HOLDER), ("password", PASSWORD), ("role", "operator"), ("domain", SHOP)];
        assert_eq!(root.submit("/ui/operator/accounts", "/ui/operator/accounts", &fields).await.status, 303);
        let mut keeper = Browser::signed_in(two.addr, HOLDER, PASSWORD).await;
        let mut events = stream(&two, &keeper, "/ui/operator/events").await;

        rest.done("DELETE", &format!("/domains/{SHOP}"), None).await;
        // For another customer.
        rest.done("POST", "/domains", Some(shop)).await;
        let since = Instant::now();
        events.rest().await;
        println!("stream at the other node ended {:?} after the domain was made again", since.elapsed());
        assert!(since.elapsed() < WITHIN, "{:?}", since.elapsed());
        assert!(!is_signed_in(&mut keeper).await);
        for at in [&one, &two] {
            assert_eq!(Browser::new(at.addr).sign_in(HOLDER, PASSWORD).await.status, 422);
        }
        assert!(!root.page("/ui/operator/accounts").await.contains(HOLDER));
        let acts = root.page("/ui/operator/audit").await;
        assert!(acts.contains("domain.delete") && acts.contains("Password of the instance"), "{acts}");
        assert!(acts.contains("127.0.0.1"), "{acts}");
    });
}

/// A sign-in that was being checked while the password changed: whoever is first, nobody is signed in with the old one.
#[test]
fn a_sign_in_with_the_old_password_does_not_win_against_its_change() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut root = Browser::signed_in(broker.addr, "root", PASSWORD).await;
        let mut old = PASSWORD.to_owned();
        for number in 0..6 {
            let new = format!("password number {number}");
            secrets::note(&new);
            let mut racing: Vec<_> = (0..4).map(|_| Browser::new(broker.addr)).collect();
            let fields = [("name", "anna"), ("password", &*new)];
            let change = root.submit("/ui/operator/accounts", "/ui/operator/accounts/password", &fields);
            let sign_ins = racing.iter_mut().map(|browser| browser.sign_in("anna", &old));
            let (changed, _) = tokio::join!(change, futures_util::future::join_all(sign_ins));
            assert_eq!(changed.status, 303, "{}", changed.body);
            for browser in &mut racing {
                assert!(!is_signed_in(browser).await);
            }
            old = new;
        }
    });
}
