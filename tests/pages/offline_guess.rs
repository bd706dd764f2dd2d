//! Nothing that is handed out lets anybody try passwords without asking the broker.

use hmac::{Hmac, KeyInit as _, Mac as _};
use provbroker::core::model::hex;
use sha2::Sha256;

use crate::browser::Browser;
use crate::support::broker::{INSTANCE_PASSWORD, Keep, with_broker};
use crate::support::operator::Operator;

fn keyed(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// What version 0.1 made of a text, without a master key.
fn of_password(password: &str, purpose: &str, text: &str) -> String {
    let key = keyed(password.as_bytes(), b"provbroker hash 1");
    hex::encode(keyed(&key, format!("{purpose}\0{text}").as_bytes()))
}

#[test]
fn tokens_are_no_function_of_the_password() {
    let mut forms = Vec::new();
    for keep in [Keep::embedded(), Keep::redis(), Keep::embedded()] {
        with_broker(
            &keep,
            |_| {},
            async |broker| {
                // The token of a form, for a cookie that somebody else can choose.
                let mut browser = Browser::new(broker.addr);
                browser.page("/ui/sign-in").await;
                let (name, cookie) = browser.cookies.iter().next().map(|(a, b)| (a.clone(), b.clone())).unwrap();
                let token = browser.token("/ui/sign-in").await;
                assert_ne!(token, of_password(INSTANCE_PASSWORD, "form token", &cookie));
                let mut chosen = Browser::new(broker.addr);
                chosen.cookies.insert(name, "0".repeat(cookie.len()));
                forms.push(chosen.token("/ui/sign-in").await);
                // The token of the REST interface, and the hash of the password in it.
                let operator = Operator::log_in(broker.addr, None, INSTANCE_PASSWORD).await;
                let (claims, signature) = operator.token().split_once('.').unwrap();
                assert_ne!(signature, of_password(INSTANCE_PASSWORD, "operator token", claims));
                let claims = String::from_utf8(hex::decode(claims).unwrap()).unwrap();
                let mark = of_password(INSTANCE_PASSWORD, "operator password", INSTANCE_PASSWORD);
                assert!(claims.contains("mark") && !claims.contains(&mark), "{claims}");
            },
        );
    }
    forms.sort();
    forms.dedup();
    assert_eq!(forms.len(), 3, "the same cookie and password, and each store has a key of its own");
}

/// A session and everything that is sealed outlive a change of the instance password.
#[test]
fn the_instance_password_may_change() {
    use provbroker::core::model::ids::Secret;
    let keep = Keep::embedded();
    let mut browser = None;
    with_broker(&keep, crate::accounts, async |broker| {
        browser = Some(Browser::signed_in(broker.addr, "anna", crate::PASSWORD).await);
    });
    let changed = |config: &mut provbroker::config::Config| {
        crate::accounts(config);
        config.instance.password = Secret::new("another password of the instance");
    };
    with_broker(&keep, changed, async |broker| {
        let mut again = Browser::new(broker.addr);
        again.cookies = browser.take().unwrap().cookies;
        assert!(again.page("/ui/account").await.contains("anna"));
        Browser::signed_in(broker.addr, "otto", crate::PASSWORD).await;
        Operator::log_in(broker.addr, None, "another password of the instance").await;
    });
}
