//! Signing in at an OpenID provider: who may sign in, and with which identity.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::provider::{CLIENT, Key, Provider, SECRET};
use crate::support::broker::{Broker, DOMAIN, Keep, with_broker};
use crate::support::raw::Answer;
use crate::support::secrets;
use crate::{PASSWORD, accounts};
use provbroker::config::Config;
use provbroker::core::model::ids::Secret;

const SESSION: &str = "provbroker_session";
pub const TICKET: &str = "provbroker_ticket";

/// A configuration with a provider whose tokens have all claims.
pub fn with_provider(provider: &Provider) -> impl FnOnce(&mut Config) + use<> {
    let issuer = provider.issuer();
    move |config| {
        accounts(config);
        let oidc = &mut config.pages.oidc;
        oidc.issuer = issuer;
        oidc.client_id = CLIENT.into();
        oidc.client_secret = Secret::new(SECRET);
        oidc.name = "<i>Acme</i>".into();
        oidc.domain_claim = "org".into();
        oidc.role_claim = "groups".into();
        oidc.persons = vec!["staff".into()];
        oidc.operators = vec!["it".into()];
        secrets::note(SECRET);
    }
}

/// The parameters with which a browser was sent to the provider.
pub struct Trip {
    pub state: String,
    pub nonce: String,
    pub challenge: String,
}

/// Sends a browser to the provider.
pub async fn leave(browser: &mut Browser, to: &str) -> Trip {
    let answer = browser.get(&format!("/ui/oidc/start{to}")).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let address = url::Url::parse(answer.field("location").unwrap()).unwrap();
    let query: std::collections::BTreeMap<String, String> = address.query_pairs().into_owned().collect();
    assert_eq!(address.path(), "/auth");
    for (key, value) in [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("scope", "openid profile email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(query[key], value);
    }
    let line = answer.head.lines().find(|line| line.starts_with(&format!("set-cookie: {TICKET}"))).unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/ui", "Max-Age=600"] {
        assert!(line.contains(part), "{line}");
    }
    let of = |key: &str| query[key].clone();
    Trip { state: of("state"), nonce: of("nonce"), challenge: of("code_challenge") }
}

/// A full set of claims.
pub fn claims(provider: &Provider, nonce: &str) -> Value {
    let now = provbroker::clock::unix_seconds();
    json!({
        "iss": provider.issuer(), "aud": CLIENT, "sub": "anna", "nonce": nonce, "iat": now, "exp": now + 300,
        "name": "Anna <b>Berg</b>", "preferred_username": "anna@example.com", "org": DOMAIN, "groups": ["staff"],
    })
}

pub async fn come_back(browser: &mut Browser, state: &str) -> Answer {
    browser.get(&format!("/ui/oidc/callback?code=c1&state={state}")).await
}

/// The whole sign-in, with other claims.
pub async fn sign_in(browser: &mut Browser, provider: &Provider, key: &Key, changes: Value) -> Answer {
    let trip = leave(browser, "").await;
    let mut claims = claims(provider, &trip.nonce);
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    provider.grant("c1", &key.sign(&claims), &trip.challenge);
    come_back(browser, &trip.state).await
}

async fn whole_session(broker: &Broker, provider: &Provider, key: &Key) {
    let mut browser = Browser::new(broker.addr);
    let page = browser.page("/ui/sign-in?to=%2Fui%2Faccount").await;
    assert!(
        page.contains("Sign in with &#60;i&#62;Acme") && page.contains("/ui/oidc/start?to=%2Fui%2Faccount"),
        "{page}"
    );
    assert!(page.contains("name=\"password\"") && page.contains("Or with an account of this service"));
    assert_eq!(provider.requests("/keys"), 0, "asked only when somebody wants in");

    let trip = leave(&mut browser, "?to=/ui/account").await;
    provider.grant("c1", &key.sign(&claims(provider, &trip.nonce)), &trip.challenge);
    let answer = come_back(&mut browser, &trip.state).await;
    assert_eq!((answer.status, answer.field("location")), (303, Some("/ui/account")), "{}", answer.body);
    assert!(browser.cookies.contains_key(SESSION) && !browser.cookies.contains_key(TICKET));
    let page = browser.page("/ui/account").await;
    for part in ["oidc:anna", "Anna &#60;b&#62;Berg", DOMAIN, "<dd>anna</dd>", "Its password is changed there"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("/ui/account/password"));
    let fields = [("old", PASSWORD), ("new", "a password that is new"), ("again", "a password that is new")];
    assert_eq!(browser.submit("/ui/account", "/ui/account/password", &fields).await.status, 404);

    // A local account has the same name, and is another person.
    let mut local = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
    assert_eq!(local.page("/ui/account").await.matches("name=\"session\"").count(), 1);
    let mut second = Browser::new(broker.addr);
    assert_eq!(sign_in(&mut second, provider, key, json!({})).await.status, 303);
    assert_eq!(second.page("/ui/account").await.matches("name=\"session\"").count(), 2);
    second.submit("/ui/account", "/ui/account/sessions/end-all", &[]).await;
    assert_eq!((browser.get("/ui/account").await.status, local.get("/ui/account").await.status), (303, 200));

    assert_eq!(sign_in(&mut browser, provider, key, json!({"sub": "olga", "groups": "it"})).await.status, 303);
    let audit = browser.page("/ui/operator/audit").await;
    assert!(audit.contains("oidc:anna") && audit.contains("oidc:olga") && audit.contains("session.end_all"), "{audit}");
    assert_eq!(browser.get("/ui/operator").await.field("location"), Some("/ui/operator/d/example.com"));
    assert_eq!(provider.requests("/keys"), 1, "kept");
    let answer = browser.submit("/ui/account", "/ui/sign-out", &[]).await;
    assert_eq!(answer.field("location"), Some("/ui/sign-in"));
    assert_eq!(browser.get("/ui/account").await.status, 303);
}

#[test]
fn a_user_of_the_provider_signs_in_and_out_embedded() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]);
    with_broker(&Keep::embedded(), with_provider(&provider), async |broker| {
        whole_session(broker, &provider, &key).await;
    });
}

#[test]
fn a_user_of_the_provider_signs_in_and_out_redis() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]);
    with_broker(&Keep::redis(), with_provider(&provider), async |broker| whole_session(broker, &provider, &key).await);
}

#[test]
fn a_sign_in_may_return_to_any_node() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]);
    let keep = Keep::redis();
    with_broker(&keep, with_provider(&provider), async |first| {
        let mut browser = Browser::new(first.addr);
        let trip = leave(&mut browser, "").await;
        provider.grant("c1", &key.sign(&claims(&provider, &trip.nonce)), &trip.challenge);
        let second = Broker::on(&keep, with_provider(&provider));
        let mut elsewhere = Browser::new(second.addr);
        elsewhere.cookies = browser.cookies.clone();
        assert_eq!(come_back(&mut elsewhere, &trip.state).await.status, 303);
        // Only once, at all nodes together.
        let answer = come_back(&mut browser, &trip.state).await;
        assert!(answer.status == 403 && answer.body.contains("This sign-in is over"), "{}", answer.body);
    });
}

#[test]
fn insufficient_claims_get_an_explanation() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]);
    with_broker(&Keep::embedded(), with_provider(&provider), async |broker| {
        for (changes, said) in [
            (json!({"org": null}), "belongs to no domain here"),
            (json!({"org": "a b"}), "belongs to no domain here"),
            (json!({"org": "elsewhere.example"}), "belongs to no domain here"),
            (json!({"org": null, "groups": ["it"]}), "belongs to no domain here"),
            (json!({"groups": ["guests"]}), "have no role here"),
            (json!({"groups": null}), "have no role here"),
            (json!({"preferred_username": null}), "no telephone name"),
            (json!({"preferred_username": "@example.com"}), "no telephone name"),
        ] {
            let mut browser = Browser::new(broker.addr);
            // The user-info endpoint has nothing either.
            provider.say_more(json!({"sub": "anna"}));
            let answer = sign_in(&mut browser, &provider, &key, changes.clone()).await;
            assert!(answer.status == 403 && answer.body.contains(said), "{changes}: {}", answer.body);
            assert!(!browser.cookies.contains_key(SESSION), "{changes}");
        }
    });
}

#[test]
fn missing_claims_come_from_the_user_info_of_the_same_user() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]);
    with_broker(&Keep::embedded(), with_provider(&provider), async |broker| {
        let mut browser = Browser::new(broker.addr);
        assert_eq!(sign_in(&mut browser, &provider, &key, json!({})).await.status, 303);
        assert_eq!(provider.requests("/me"), 0, "everything was in the token");
        provider.say_more(json!({"sub": "anna", "org": DOMAIN, "groups": ["it"], "name": "Somebody else"}));
        let trip = leave(&mut browser, "").await;
        let mut few = claims(&provider, &trip.nonce);
        few.as_object_mut().unwrap().retain(|name, _| !["org", "groups"].contains(&&**name));
        provider.grant("c1", &key.sign(&few), &trip.challenge);
        assert_eq!(come_back(&mut browser, &trip.state).await.status, 303);
        let page = browser.page("/ui/account").await;
        assert!(
            page.contains("Operator") && page.contains("Anna &#60;b&#62;"),
            "what the token says goes first: {page}"
        );

        for other in [json!({"sub": "otto", "org": DOMAIN, "groups": ["it"]}), json!({"org": DOMAIN, "groups": ["it"]})]
        {
            provider.say_more(other);
            let mut browser = Browser::new(broker.addr);
            let trip = leave(&mut browser, "").await;
            few["nonce"] = trip.nonce.clone().into();
            provider.grant("c1", &key.sign(&few), &trip.challenge);
            let answer = come_back(&mut browser, &trip.state).await;
            assert!(answer.status == 403 && answer.body.contains("The answer was not accepted"), "{}", answer.body);
            assert!(!browser.cookies.contains_key(SESSION));
        }
    });
}

#[test]
fn without_local_accounts_the_provider_is_the_only_way() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]);
    let only = |config: &mut Config| {
        with_provider(&provider)(config);
        config.pages.local_accounts = false;
    };
    with_broker(&Keep::embedded(), only, async |broker| {
        let mut browser = Browser::new(broker.addr);
        let page = browser.page("/ui/sign-in").await;
        assert!(page.contains("/ui/oidc/start") && !page.contains("name=\"password\""), "{page}");
        assert_eq!(browser.sign_in("anna", PASSWORD).await.status, 404);
        assert!(!browser.cookies.contains_key(SESSION));
        assert_eq!(sign_in(&mut browser, &provider, &key, json!({})).await.status, 303);
    });
}

#[test]
fn without_a_provider_its_routes_do_not_exist() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        let mut browser = Browser::new(broker.addr);
        assert!(!browser.page("/ui/sign-in").await.contains("oidc"));
        for target in ["/ui/oidc/start", "/ui/oidc/callback?code=c1&state=s"] {
            assert_eq!(browser.get(target).await.status, 404);
        }
        // No account can have the name of a provider's user.
        let mut root = Browser::signed_in(broker.addr, "root", PASSWORD).await;
        let fields = [("name", "OIDC:anna"), ("password", PASSWORD), ("role", "operator"), ("domain", DOMAIN)];
        let answer = root.submit("/ui/operator/accounts", "/ui/operator/accounts", &fields).await;
        assert!(answer.status == 409 && answer.body.contains("Names that begin with oidc:"), "{}", answer.body);
    });
}
