//! Signing in, sessions, forms, errors.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use provbroker::clock::Stopwatch;
use provbroker::core::model::accounts::AccountName;

use crate::browser::Browser;
use crate::support::broker::{Broker, Keep, with_broker};
use crate::{PASSWORD, accounts};

const SESSION: &str = "provbroker_session";

fn cookie_line(head: &str, name: &str) -> String {
    let mut lines = head.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    lines.find(|line| line.starts_with(name)).expect("the cookie is set").to_owned()
}

async fn whole_session(broker: &Broker) {
    let mut browser = Browser::new(broker.addr);
    let answer = browser.get("/").await;
    assert_eq!((answer.status, answer.field("location")), (303, Some("/ui/")));
    let answer = browser.get("/ui/account?x=1").await;
    assert_eq!((answer.status, answer.field("location")), (303, Some("/ui/sign-in?to=%2Fui%2Faccount%3Fx%3D1")));
    let answer = browser.submit("/ui/sign-in", "/ui/sign-in", &[("name", "anna"), ("password", "wrong")]).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("Name or password is wrong"));
    let unknown = browser.sign_in("nobody", "wrong").await;
    assert_eq!(unknown.status, 422);
    assert_eq!(unknown.body.replace("nobody", "anna"), answer.body, "which of them is wrong is not told");
    assert!(!browser.cookies.contains_key(SESSION));

    let fields = [("name", "ANNA"), ("password", PASSWORD), ("to", "/ui/account")];
    let answer = browser.submit("/ui/sign-in", "/ui/sign-in", &fields).await;
    assert_eq!((answer.status, answer.field("location")), (303, Some("/ui/account")));
    let line = cookie_line(&answer.head, SESSION);
    assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax") && line.contains("Path=/ui"), "{line}");
    assert!(!line.contains("Secure"), "plain loopback");
    let body = browser.page("/ui/account").await;
    assert!(body.contains("&#60;b&#62;anna&#60;/b&#62;") && !body.contains("<b>anna"), "{body}");
    assert!(body.contains("this browser") && body.contains("example.com"));
    assert!(browser.page("/ui/").await.contains("Hello, "));

    let old = browser.clone();
    let answer = browser.submit("/ui/account", "/ui/sign-out", &[]).await;
    assert_eq!((answer.status, answer.field("location")), (303, Some("/ui/sign-in")));
    assert!(!browser.cookies.contains_key(SESSION));
    assert_eq!(old.clone().get("/ui/account").await.status, 303, "the old cookie is worth nothing");
}

#[test]
fn a_person_signs_in_and_out_embedded() {
    with_broker(&Keep::embedded(), accounts, whole_session);
}

#[test]
fn a_person_signs_in_and_out_redis() {
    with_broker(&Keep::redis(), accounts, whole_session);
}

#[test]
fn signing_out_everywhere_ends_every_session() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut first = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let mut second = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let mut third = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let mut other = Browser::signed_in(broker.addr, "admin", PASSWORD).await;
        assert_eq!(first.page("/ui/account").await.matches("name=\"session\"").count(), 3);
        let body = second.page("/ui/account").await;
        let own = body.split("this browser").nth(1).unwrap().split("name=\"session\" value=\"").nth(1).unwrap();
        let own = own.split('"').next().unwrap().to_owned();
        let answer = first.submit("/ui/account", "/ui/account/sessions/end", &[("session", &own)]).await;
        assert_eq!(answer.field("location"), Some("/ui/account"));
        assert_eq!(second.get("/ui/account").await.status, 303);
        // The session of another account cannot be ended.
        other.submit("/ui/account", "/ui/account/sessions/end", &[("session", &own)]).await;
        assert_eq!(third.get("/ui/account").await.status, 200);
        first.submit("/ui/account", "/ui/account/sessions/end-all", &[]).await;
        for browser in [&mut first, &mut third] {
            assert_eq!(browser.get("/ui/account").await.status, 303);
        }
        assert_eq!(other.get("/ui/account").await.status, 200);
    });
}

#[test]
fn a_new_password_ends_the_other_sessions() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let new = "a password that is new";
        crate::support::secrets::note(new);
        let mut browser = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let mut other = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let change = async |browser: &mut Browser, old: &str, new: &str, again: &str| {
            let fields = [("old", old), ("new", new), ("again", again)];
            browser.submit("/ui/account", "/ui/account/password", &fields).await
        };
        for (old, wanted, again, said) in [
            (PASSWORD, new, "something else", "two new passwords differ"),
            ("wrong password", new, new, "current password is wrong"),
            (PASSWORD, "short", "short", "at least 10"),
            (PASSWORD, "change-me-too", "change-me-too", "must not be the delivered one"),
        ] {
            let answer = change(&mut browser, old, wanted, again).await;
            assert_eq!(answer.status, 422);
            assert!(answer.body.contains(said), "{said}");
        }
        assert!(change(&mut browser, PASSWORD, new, new).await.body.contains("The password is changed"));
        assert_eq!(browser.get("/ui/account").await.status, 200);
        assert_eq!(other.get("/ui/account").await.status, 303);
        assert_eq!(other.sign_in("anna", PASSWORD).await.status, 422);
        assert_eq!(other.sign_in("anna", new).await.status, 303);
    });
}

#[test]
fn forms_of_other_origins_are_refused() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut browser = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let token = browser.token("/ui/account").await;
        let another = Browser::signed_in(broker.addr, "admin", PASSWORD).await.token("/ui/account").await;
        let target = "/ui/account/sessions/end-all";
        for token in ["", "x", &another] {
            assert_eq!(browser.post(target, &[("token", token)]).await.status, 403, "token {token}");
        }
        let host = broker.addr;
        for origin in [
            String::new(),
            "Origin: null\r\n".into(),
            "Origin: https://evil.example\r\n".into(),
            format!("Origin: https://{host}\r\n"),
            format!("Origin: http://{host}.evil.example\r\n"),
        ] {
            let answer = browser.post_from(&origin, target, &[("token", &token)]).await;
            assert_eq!(answer.status, 403, "{origin}");
            assert!(answer.body.contains("The page was too old"));
        }
        assert_eq!(browser.get("/ui/account").await.status, 200, "still signed in");
        // A sign-in from another site would put a person into a foreign account.
        let mut victim = Browser::new(broker.addr);
        let fields = [("name", "admin"), ("password", PASSWORD)];
        assert_eq!(victim.post("/ui/sign-in", &fields).await.status, 403);
        assert_eq!(browser.post(target, &[("token", &token)]).await.status, 303);
        assert_eq!(browser.get("/ui/account").await.status, 303);
    });
}

/// Wrong passwords of one account and source that delay nothing.
const FREE: usize = 5;

/// The most passwords that may have been compared after this time.
fn most(elapsed: Duration) -> usize {
    FREE + 1 + usize::try_from(elapsed.as_secs()).unwrap()
}

fn from(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// Browsers with the form for signing in, all at the same address.
async fn browsers(broker: &Broker, from: IpAddr, many: usize) -> Vec<(Browser, String)> {
    let mut all = Vec::new();
    for _ in 0..many {
        let mut browser = Browser::new(broker.addr);
        browser.from = from;
        let token = browser.token("/ui/sign-in").await;
        all.push((browser, token));
    }
    all
}

async fn try_password((browser, token): &mut (Browser, String), name: &str, password: &str) -> u16 {
    browser.post("/ui/sign-in", &[("token", &**token), ("name", name), ("password", password)]).await.status
}

/// Seen before: 196 to 259 passwords compared in one burst.
#[test]
fn a_burst_of_passwords_is_not_compared() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        for (at, name) in [(2, "anna"), (3, "nobody")] {
            let mut guessing = browsers(broker, from(at), 60).await;
            let watch = Stopwatch::start();
            let mut burst: FuturesUnordered<_> = guessing
                .iter_mut()
                .enumerate()
                .map(|(number, browser)| async move { try_password(browser, name, &format!("guess {number}")).await })
                .collect();
            // Eight for a name may wait; they go when this ends.
            let answers: Vec<u16> = burst.by_ref().take(52).collect().await;
            let compared = answers.iter().filter(|status| **status == 422).count();
            assert!((FREE..=most(watch.elapsed())).contains(&compared), "{compared} in {:?}", watch.elapsed());
            assert!(answers.iter().all(|status| matches!(status, 422 | 429)), "{answers:?}");
        }
        let mut elsewhere = Browser::new(broker.addr);
        assert_eq!(elsewhere.sign_in("anna", PASSWORD).await.status, 303, "from another address it is not delayed");
        let mut colleague = browsers(broker, from(2), 1).await;
        assert_eq!(try_password(&mut colleague[0], "admin", PASSWORD).await, 303, "nor is another account");
    });
}

/// Somebody behind the same address tries passwords all the time.
#[test]
fn a_browser_that_has_signed_in_before_is_not_delayed() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut own = browsers(broker, from(2), 1).await;
        assert_eq!(try_password(&mut own[0], "anna", PASSWORD).await, 303);
        assert_eq!(own[0].0.submit("/ui/account", "/ui/sign-out", &[]).await.status, 303);
        own[0].1 = own[0].0.token("/ui/sign-in").await;
        let mut other = browsers(broker, from(2), 1).await;
        assert_eq!(try_password(&mut other[0], "admin", PASSWORD).await, 303);
        assert_eq!(other[0].0.submit("/ui/account", "/ui/sign-out", &[]).await.status, 303);
        other[0].1 = other[0].0.token("/ui/sign-in").await;
        let mut guessing = browsers(broker, from(2), 40).await;
        let mut burst: FuturesUnordered<_> = guessing
            .iter_mut()
            .enumerate()
            .map(|(number, browser)| async move { try_password(browser, "anna", &format!("guess {number}")).await })
            .collect();
        let answers: Vec<u16> = burst.by_ref().take(32).collect().await;
        assert!(answers.contains(&429), "{answers:?}");
        // The cookie of another account does not help: this browser waits like all the others, but not for long.
        let mut stranger = pin!(try_password(&mut other[0], "anna", PASSWORD));
        tokio::select! {
            biased;
            status = try_password(&mut own[0], "anna", PASSWORD) => assert_eq!(status, 303),
            _ = &mut stranger => panic!("a browser that is not known went first"),
        }
        assert_eq!(stranger.await, 303);
    });
}

#[test]
fn the_cookie_of_a_known_browser_opens_nothing() {
    const KNOWN: &str = "provbroker_browser";
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut browser = Browser::new(broker.addr);
        let answer = browser.sign_in("anna", PASSWORD).await;
        let line = cookie_line(&answer.head, KNOWN);
        for part in ["HttpOnly", "SameSite=Lax", "Path=/ui", "Max-Age=34560000"] {
            assert!(line.contains(part), "{line}");
        }
        assert!(!line.contains("anna"), "it names no account: {line}");
        let known = browser.cookies[KNOWN].clone();

        let mut thief = Browser::new(broker.addr);
        thief.cookies.insert(KNOWN.into(), known.clone());
        assert_eq!(thief.get("/ui/account").await.status, 303, "nobody is signed in");
        assert_eq!(thief.sign_in("anna", "wrong password").await.status, 422);
        // Guesses with it are as limited as all others.
        let mut statuses = Vec::new();
        for number in 0..FREE - 1 {
            statuses.push(thief.sign_in("anna", &format!("guess {number}")).await.status);
        }
        let watch = Stopwatch::start();
        statuses.push(thief.sign_in("anna", "another guess").await.status);
        assert_eq!(statuses, [422; FREE]);
        assert!(watch.elapsed() >= Duration::from_secs(1), "{:?}", watch.elapsed());

        // It stays the same browser for a second account, and is known for both.
        assert_eq!(browser.submit("/ui/account", "/ui/sign-out", &[]).await.status, 303);
        assert_eq!(browser.cookies[KNOWN], known, "signing out does not forget the browser");
        assert_eq!(browser.sign_in("admin", PASSWORD).await.status, 303);
        let both = browser.cookies[KNOWN].clone();
        let parts: Vec<_> = both.split('.').collect();
        assert_eq!((parts.len(), known.split('.').collect::<Vec<_>>()), (3, vec![parts[0], parts[2]]));
        for nonsense in ["", "x", "x.y", ".", &"a.".repeat(1000), &format!("{}.{}", parts[0], parts[0])] {
            let mut forged = Browser::new(broker.addr);
            forged.cookies.insert(KNOWN.into(), nonsense.into());
            assert_eq!(forged.sign_in("anna", PASSWORD).await.status, 303, "{nonsense}");
        }
    });
}

#[test]
fn the_old_password_cannot_be_guessed_in_a_session_and_others_do_not_hinder_a_change() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let new = "a password that is new";
        crate::support::secrets::note(new);
        let mut owner = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let mut thief = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let mut guessing = browsers(broker, from(1), 40).await;
        let mut burst: FuturesUnordered<_> = guessing
            .iter_mut()
            .enumerate()
            .map(|(number, browser)| async move { try_password(browser, "anna", &format!("guess {number}")).await })
            .collect();
        assert!(burst.by_ref().take(32).collect::<Vec<u16>>().await.contains(&429));

        let token = thief.token("/ui/account").await;
        let watch = Stopwatch::start();
        let mut guesses: FuturesUnordered<_> = (0..40)
            .map(|number| {
                let (mut thief, token) = (thief.clone(), token.clone());
                async move {
                    let old = format!("guess {number}");
                    let fields = [("token", &*token), ("old", &*old), ("new", new), ("again", new)];
                    thief.post("/ui/account/password", &fields).await.body
                }
            })
            .collect();
        let answers: Vec<String> = guesses.by_ref().take(32).collect().await;
        let compared = answers.iter().filter(|body| body.contains("current password is wrong")).count();
        assert!((FREE..=most(watch.elapsed())).contains(&compared), "{compared} in {:?}", watch.elapsed());
        assert!(answers.iter().any(|body| body.contains("Too many wrong passwords. Try again in ")));

        let fields = [("old", PASSWORD), ("new", new), ("again", new)];
        let answer = owner.submit("/ui/account", "/ui/account/password", &fields).await;
        assert!(answer.body.contains("The password is changed"), "{}", answer.body);
    });
}

#[test]
fn every_answer_has_its_headers_and_every_error_its_page() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut browser = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let style = browser.page("/ui/").await;
        let style = style.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        for (target, status) in [
            ("/ui/", 200),
            ("/ui/account", 200),
            ("/ui/nowhere", 404),
            ("/ui/assets/0000/pages.css", 404),
            ("/ui/sign-out", 404),
            (&style, 200),
        ] {
            let answer = browser.get(target).await;
            assert_eq!(answer.status, status, "{target}");
            let policy = answer.field("content-security-policy").expect("a policy");
            assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.field("x-frame-options"), Some("DENY"));
            assert_eq!(answer.field("referrer-policy"), Some("same-origin"));
            let for_good = answer.field("cache-control").is_some_and(|value| value.contains("immutable"));
            assert_eq!(for_good, target == style, "{target}");
            if status >= 400 && !target.contains("assets") {
                assert!(answer.body.contains("To the start page"), "{target}: {}", answer.body);
            }
        }
        let huge = "x".repeat(300_000);
        assert_eq!(browser.submit("/ui/account", "/ui/account/password", &[("old", &huge)]).await.status, 413);
        browser.language = "de-DE,de;q=0.9,en;q=0.5";
        assert!(browser.get("/ui/nowhere").await.body.contains("Hier ist nichts"));
        let answer = browser.submit("/ui/", "/ui/language", &[("lang", "en"), ("to", "/ui/account")]).await;
        assert_eq!(answer.field("location"), Some("/ui/account"));
        assert!(browser.page("/ui/account").await.contains("My account"));
        let answer = browser.submit("/ui/", "/ui/language", &[("lang", "en"), ("to", "//evil.example/")]).await;
        assert_eq!(answer.field("location"), Some("/ui/"));
    });
}

/// Size of what a first visit loads.
#[test]
fn the_first_page_is_small() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut browser = Browser::new(broker.addr);
        let page = browser.page("/ui/sign-in").await;
        let mut bytes = page.len();
        let loaded: Vec<_> =
            page.split('"').filter(|part| part.starts_with("/ui/assets/")).map(str::to_owned).collect();
        let different: std::collections::BTreeSet<_> = loaded.into_iter().collect();
        assert_eq!(different.len(), 3);
        for asset in different {
            bytes += browser.page(&asset).await.len();
        }
        assert!(bytes < 100_000, "{bytes} bytes");
    });
}

#[test]
fn with_tls_in_front_cookies_are_secure() {
    let behind = |config: &mut provbroker::config::Config| {
        accounts(config);
        config.server.public_url = "https://phones.example".into();
    };
    with_broker(&Keep::embedded(), behind, async |broker| {
        let mut browser = Browser::new(broker.addr);
        let token = browser.token("/ui/sign-in").await;
        let fields = [("token", &*token), ("name", "anna"), ("password", PASSWORD)];
        let answer = browser.post_from("Origin: https://phones.example\r\n", "/ui/sign-in", &fields).await;
        let line = cookie_line(&answer.head, SESSION);
        assert!(answer.status == 303 && line.contains("Secure"), "{line}");
    });
}

/// The delivered password, if it is still in the store, is accepted on loopback only.
#[tokio::test]
async fn the_delivered_password_is_accepted_on_loopback_only() {
    use std::sync::Arc;

    use provbroker::accounts::{Hashing, NewAccount, PasswordSignIn, Settings, SignIn, SignInError};
    use provbroker::attempts::{AttemptRules, AttemptService};
    use provbroker::config::{Config, DEFAULT_ACCOUNT_PASSWORD};
    use provbroker::core::model::ids::Secret;
    use provbroker::core::policy::limits::SourceKey;
    use provbroker::store;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", dir.path().join("s.redb").display());
    let store = store::connect(&url, &store::MasterKeys::default(), &store::Options::default()).await.unwrap();
    let settings = |loopback| Settings { idle: Duration::from_secs(60), whole: Duration::from_secs(60), loopback };
    let password = Secret::new(DEFAULT_ACCOUNT_PASSWORD);
    for loopback in [true, false] {
        let attempts = Arc::new(AttemptService::new(store.clone(), AttemptRules::default(), provbroker::clock::now));
        let sign_in = SignIn::new(store.clone(), store.sealer(), Hashing::weak(), attempts, settings(loopback));
        let samples = Config::default().accounts;
        let new: Vec<_> =
            samples.iter().map(|a| NewAccount { identity: a.identity(), password: a.password.clone() }).collect();
        sign_in.ensure_accounts(&new).await.unwrap();
        let request = PasswordSignIn {
            name: "anna",
            password: &password,
            source: SourceKey::from(from(1)),
            from: None,
            browser_cookie: None,
            browser: "",
        };
        let entered = sign_in.by_password(request).await;
        assert!(if loopback { entered.is_ok() } else { matches!(entered, Err(SignInError::Delivered)) });
    }
    assert_eq!(store.accounts().await.unwrap().len(), 3);
    assert!(store.account(&AccountName::parse("operator").unwrap()).await.unwrap().unwrap().identity.is_instance());
}
