//! Answers and faults of an OpenID provider with which nobody may sign in.

use provbroker::clock::unix_seconds;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::oidc::{TICKET, claims, come_back, leave, sign_in, with_provider};
use crate::provider::{CLIENT, Key, Provider};
use crate::support::broker::{Broker, Keep, with_broker};

const SESSION: &str = "provbroker_session";

/// A browser whose token is what `sign` makes of the right claims.
async fn refused(broker: &Broker, provider: &Provider, what: &str, sign: impl FnOnce(Value) -> String) {
    let mut browser = Browser::new(broker.addr);
    let trip = leave(&mut browser, "").await;
    provider.grant("c1", &sign(claims(provider, &trip.nonce)), &trip.challenge);
    let answer = come_back(&mut browser, &trip.state).await;
    assert!(answer.status == 403 && answer.body.contains("The answer was not accepted"), "{what}: {}", answer.body);
    assert!(!browser.cookies.contains_key(SESSION), "{what}");
}

#[test]
fn an_invalid_token_is_refused() {
    let (key, foreign) = (Key::new("k1"), Key::new("k1"));
    let provider = Provider::start(&[&key]);
    with_broker(&Keep::embedded(), with_provider(&provider), async |broker| {
        let now = unix_seconds();
        for changes in [
            json!({"nonce": "another"}),
            json!({"nonce": null}),
            json!({"nonce": ["x"]}),
            json!({"aud": "another"}),
            json!({"aud": []}),
            json!({"aud": null}),
            json!({"aud": [CLIENT, "another"]}),
            json!({"aud": [CLIENT, "another"], "azp": "another"}),
            json!({"azp": "another"}),
            json!({"iss": "http://127.0.0.1:1"}),
            json!({"iss": format!("{}/", provider.issuer())}),
            json!({"iss": [provider.issuer()]}),
            json!({"iss": null}),
            json!({"exp": now - 3600}),
            json!({"exp": null}),
            json!({"exp": "never"}),
            json!({"nbf": now + 3600}),
            json!({"sub": null}),
        ] {
            refused(broker, &provider, &changes.to_string(), |mut claims| {
                for (name, value) in changes.as_object().unwrap() {
                    claims[name] = value.clone();
                }
                key.sign(&claims)
            })
            .await;
        }
        // The signature is not that of the provider.
        refused(broker, &provider, "not signed", |claims| key.not_signed(&claims)).await;
        refused(broker, &provider, "HS256 with the public key", |claims| key.sign_with_public_key(&claims)).await;
        refused(broker, &provider, "signed by somebody else", |claims| foreign.sign(&claims)).await;
        refused(broker, &provider, "changed afterwards", |claims| {
            let (good, mut other) = (key.sign(&claims), claims);
            other["groups"] = json!(["it"]);
            let (changed, parts) = (key.sign(&other), good.split('.').collect::<Vec<_>>());
            [changed.split('.').next().unwrap(), changed.split('.').nth(1).unwrap(), parts[2]].join(".")
        })
        .await;
        for nonsense in ["", "x", "a.b.c", "a.b.c.d"] {
            refused(broker, &provider, nonsense, |_| nonsense.into()).await;
        }
        let mut browser = Browser::new(broker.addr);
        assert_eq!(sign_in(&mut browser, &provider, &key, json!({"aud": [CLIENT], "azp": CLIENT})).await.status, 303);
    });
}

#[test]
fn changed_keys_are_fetched_once() {
    let (old, new, never) = (Key::new("k1"), Key::new("k2"), Key::new("k3"));
    let provider = Provider::start(&[&old]);
    with_broker(&Keep::embedded(), with_provider(&provider), async |broker| {
        let mut browser = Browser::new(broker.addr);
        assert_eq!(sign_in(&mut browser, &provider, &old, json!({})).await.status, 303);
        provider.publish(&[&new]);
        assert_eq!(sign_in(&mut browser, &provider, &new, json!({})).await.status, 303);
        assert_eq!(provider.requests("/keys"), 2);
        refused(broker, &provider, "not published", |claims| never.sign(&claims)).await;
        refused(broker, &provider, "not published any more", |claims| old.sign(&claims)).await;
        assert_eq!(provider.requests("/keys"), 2, "not again within a minute");
        assert_eq!(sign_in(&mut browser, &provider, &new, json!({})).await.status, 303);
    });
}

/// One sign-in after another, and many at once.
#[test]
fn unknown_keys_are_not_fetched_for_again_and_again() {
    let (key, never) = (Key::new("k1"), Key::new("k3"));
    let provider = Provider::start(&[&key]);
    with_broker(&Keep::embedded(), with_provider(&provider), async |broker| {
        let mut trips = Vec::new();
        for number in 0..12 {
            let mut browser = Browser::new(broker.addr);
            let trip = leave(&mut browser, "").await;
            let code = format!("c{number}");
            provider.grant(&code, &never.sign(&claims(&provider, &trip.nonce)), &trip.challenge);
            trips.push((browser, format!("/ui/oidc/callback?code={code}&state={}", trip.state)));
        }
        assert_eq!(provider.requests("/keys"), 1);
        let all = trips.iter_mut().map(|(browser, back)| browser.get(back));
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer.status, 403, "{}", answer.body);
        }
        for number in 0..13 {
            let foreign = json!({ "kid": format!("invented-{number}") });
            refused(broker, &provider, "an invented key", |claims| key.sign_with(&foreign, &claims)).await;
        }
        assert_eq!(provider.requests("/keys"), 2, "25 sign-ins with unknown keys");
        assert_eq!(provider.requests("/.well-known/openid-configuration"), 2);
        let mut browser = Browser::new(broker.addr);
        assert_eq!(sign_in(&mut browser, &provider, &key, json!({})).await.status, 303);
    });
}

/// RFC 7515, section 4.1.11.
#[test]
fn a_token_that_demands_extensions_is_refused() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]);
    with_broker(&Keep::embedded(), with_provider(&provider), async |broker| {
        for more in [
            json!({"crit": ["exp"]}),
            json!({"crit": ["http://example.com/UNDEFINED"], "http://example.com/UNDEFINED": true}),
            json!({"crit": ["b64"], "b64": true}),
            json!({"crit": []}),
            json!({"crit": null}),
            json!({"crit": "exp"}),
        ] {
            refused(broker, &provider, &more.to_string(), |claims| key.sign_with(&more, &claims)).await;
        }
        // Members that nobody demands to be understood are ignored.
        let mut browser = Browser::new(broker.addr);
        let trip = leave(&mut browser, "").await;
        let token = key.sign_with(&json!({"http://example.com/UNDEFINED": true}), &claims(&provider, &trip.nonce));
        provider.grant("c1", &token, &trip.challenge);
        assert_eq!(come_back(&mut browser, &trip.state).await.status, 303);
    });
}

/// The page for a sign-in that this browser has not started.
async fn over(browser: &mut Browser, target: &str) {
    let answer = browser.get(target).await;
    assert!(answer.status == 403 && answer.body.contains("This sign-in is over"), "{target}: {}", answer.body);
    assert!(!browser.cookies.contains_key(SESSION), "{target}");
}

#[test]
fn a_sign_in_that_was_not_started_here_is_refused() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]);
    with_broker(&Keep::embedded(), with_provider(&provider), async |broker| {
        let mut browser = Browser::new(broker.addr);
        let trip = leave(&mut browser, "").await;
        provider.grant("c1", &key.sign(&claims(&provider, &trip.nonce)), &trip.challenge);
        let right = format!("/ui/oidc/callback?code=c1&state={}", trip.state);
        // Another browser, which may have started a sign-in itself.
        let mut other = Browser::new(broker.addr);
        over(&mut other, &right).await;
        leave(&mut other, "").await;
        over(&mut other, &right).await;
        let swapped = |c: char| if c.is_ascii_lowercase() { 'A' } else { 'a' };
        let wrong: String = trip.state.chars().map(swapped).collect();
        for target in
            ["", "?code=c1", "?code=c1&state=", &format!("?code=c1&state={wrong}"), "?error=access_denied&state=x"]
        {
            over(&mut browser, &format!("/ui/oidc/callback{target}")).await;
        }
        assert_eq!(provider.requests("/token"), 0, "nobody was asked");
        let mut forged = browser.clone();
        for ticket in ["", "x", "AAAA"] {
            forged.cookies.insert(TICKET.into(), ticket.into());
            over(&mut forged, &right).await;
        }
        let copied = browser.cookies.clone();
        assert_eq!(browser.get(&right).await.status, 303);
        // Replayed with everything copied, although the provider would accept the code again.
        let mut again = Browser::new(broker.addr);
        again.cookies = copied;
        over(&mut again, &right).await;
        assert_eq!(provider.requests("/token"), 1);
        // A code that the provider does not know.
        let mut third = Browser::new(broker.addr);
        let trip = leave(&mut third, "").await;
        over(&mut third, &format!("/ui/oidc/callback?code=unknown&state={}", trip.state)).await;
    });
}

#[test]
fn errors_of_the_provider_become_pages() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]);
    with_broker(&Keep::embedded(), with_provider(&provider), async |broker| {
        for (rest, status, language, said) in [
            ("error=access_denied", 403, "en", "You have not signed in"),
            ("error=access_denied&error_description=%3Cscript%3E", 403, "de", "Sie haben sich nicht angemeldet"),
            ("error=login_required", 403, "en", "Start again"),
            ("error=temporarily_unavailable", 503, "en", "not possible there at the moment"),
            ("error=server_error", 503, "de", "Die Anmeldung ist dort im Moment nicht"),
            ("error=unauthorized_client", 403, "en", "The answer was not accepted"),
            ("error=%3Cscript%3E", 403, "de", "Die Antwort wurde nicht angenommen"),
            ("x=y", 403, "en", "The answer was not accepted"),
            ("code=c1&iss=http%3A%2F%2Fevil.example", 403, "en", "The answer was not accepted"),
        ] {
            let mut browser = Browser::new(broker.addr);
            browser.language = language;
            let trip = leave(&mut browser, "").await;
            provider.grant("c1", &key.sign(&claims(&provider, &trip.nonce)), &trip.challenge);
            let answer = browser.get(&format!("/ui/oidc/callback?state={}&{rest}", trip.state)).await;
            assert_eq!(answer.status, status, "{rest}");
            assert!(answer.body.contains(said) && !answer.body.contains("<script>"), "{rest}: {}", answer.body);
            assert!(!browser.cookies.contains_key(SESSION), "{rest}");
        }
        assert_eq!(provider.requests("/token"), 0);
        let mut browser = Browser::new(broker.addr);
        for evil in ["//evil.example/", "https://evil.example/", "/ui/%5C%5Cevil.example"] {
            let trip = leave(&mut browser, &format!("?to={evil}")).await;
            provider.grant("c1", &key.sign(&claims(&provider, &trip.nonce)), &trip.challenge);
            let issuer: String = url::form_urlencoded::byte_serialize(provider.issuer().as_bytes()).collect();
            let target = format!("/ui/oidc/callback?code=c1&iss={issuer}&state={}", trip.state);
            assert_eq!(browser.get(&target).await.field("location"), Some("/ui/"), "{evil}");
        }
    });
}

#[test]
fn an_unavailable_provider_only_affects_its_own_sign_ins() {
    let key = Key::new("k1");
    let mut provider = Provider::start(&[&key]);
    let configured = with_provider(&provider);
    with_broker(&Keep::embedded(), configured, async |broker| {
        provider.die().await;
        let mut browser = Browser::new(broker.addr);
        let answer = browser.get("/ui/oidc/start").await;
        assert!(answer.status == 503 && answer.body.contains("not possible there at the moment"), "{}", answer.body);
        assert_eq!(answer.field("retry-after"), Some("5"));
        assert!(!browser.cookies.contains_key(TICKET));
        Browser::signed_in(broker.addr, "anna", crate::PASSWORD).await;
        provider.come_back();
        let trip = leave(&mut browser, "").await;
        provider.die().await;
        let answer = come_back(&mut browser, &trip.state).await;
        assert!(answer.status == 503 && !browser.cookies.contains_key(SESSION), "{}", answer.body);
        provider.come_back();
        assert_eq!(sign_in(&mut browser, &provider, &key, json!({})).await.status, 303);
    });
}

#[test]
fn metadata_of_another_issuer_are_refused() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]);
    with_broker(&Keep::embedded(), with_provider(&provider), async |broker| {
        let mut browser = Browser::new(broker.addr);
        for metadata in [
            json!({"issuer": "http://127.0.0.1:1"}),
            json!({"authorization_endpoint": "http://evil.example/auth"}),
            json!({"jwks_uri": format!("{}/nothing", provider.issuer())}),
            json!({"token_endpoint": 7}),
        ] {
            provider.describe(metadata.clone());
            assert_eq!(browser.get("/ui/oidc/start").await.status, 503, "{metadata}");
        }
        // The secret is sent the way this provider wants it.
        provider.describe(json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}));
        assert_eq!(sign_in(&mut browser, &provider, &key, json!({})).await.status, 303);
        assert_eq!(provider.requests("/token"), 1);
    });
}
