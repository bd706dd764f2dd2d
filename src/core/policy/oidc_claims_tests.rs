//! Claims of a provider and the identities that they give.

use serde_json::json;

use super::*;

fn claims(value: &Value) -> Claims {
    value.as_object().unwrap().clone()
}

fn mapping(domain: DomainFrom) -> Mapping {
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Mapping {
        account: "sub".into(),
        shown: "name".into(),
        sip: "preferred_username".into(),
        domain,
        roles: Roles {
            claim: "realm_access.roles".into(),
            person: Vec::new(),
            rollout: list(&["phone-admins"]),
            operator: list(&["phone-operators", "it"]),
            instance: list(&["phone-root"]),
        },
    }
}

fn fixed() -> DomainFrom {
    DomainFrom::Fixed(DomainName::parse("example.com").unwrap())
}

fn identity(domain: DomainFrom, value: &Value) -> Result<Identity, ClaimFault> {
    mapping(domain).identity(&claims(value))
}

#[test]
fn claims_make_a_person() {
    let all = json!({"sub": "1f0-ABC", "name": "Anna Berg", "preferred_username": "anna"});
    let anna = identity(fixed(), &all).unwrap();
    assert_eq!(anna.account, AccountName::of_provider("1f0-ABC"));
    assert_eq!((&*anna.shown, &*anna.sip, anna.role), ("Anna Berg", "anna", Role::Person));
    assert_eq!(anna.domain.unwrap().as_str(), "example.com");
    let bare = identity(fixed(), &json!({"sub": "1", "preferred_username": "anna"})).unwrap();
    assert_eq!(&*bare.shown, "anna");
    let long = identity(
        fixed(),
        &json!({"sub": "1", "preferred_username": "anna", "name": "\n".repeat(9) + &"x".repeat(500)}),
    );
    assert_eq!(long.unwrap().shown.chars().count(), MAX_NAME);
}

#[test]
fn a_sip_name_loses_its_own_domain_only() {
    for (name, sip) in [
        ("anna", "anna"),
        ("anna@EXAMPLE.com", "anna"),
        ("anna@other.example", "anna@other.example"),
        ("anna@x@example.com", "anna@x"),
        (" anna ", "anna"),
    ] {
        let anna = identity(fixed(), &json!({"sub": "1", "preferred_username": name})).unwrap();
        assert_eq!(&*anna.sip, sip, "{name}");
    }
}

#[test]
fn missing_claims_are_refused() {
    let (sip, account) = ("preferred_username".to_owned(), "sub".to_owned());
    for (value, fault) in [
        (json!({"preferred_username": "anna"}), ClaimFault::Account(account.clone())),
        (json!({"sub": "", "preferred_username": "anna"}), ClaimFault::Account(account.clone())),
        (json!({"sub": 7, "preferred_username": "anna"}), ClaimFault::Account(account)),
        (json!({"sub": "1"}), ClaimFault::Sip(sip.clone())),
        (json!({"sub": "1", "preferred_username": "  "}), ClaimFault::Sip(sip.clone())),
        (json!({"sub": "1", "preferred_username": "@example.com"}), ClaimFault::Sip(sip.clone())),
        (json!({"sub": "1", "preferred_username": "a\u{0}b"}), ClaimFault::Sip(sip.clone())),
        (json!({"sub": "1", "preferred_username": "x".repeat(129)}), ClaimFault::Sip(sip)),
    ] {
        assert_eq!(identity(fixed(), &value), Err(fault), "{value}");
    }
}

#[test]
fn roles_are_those_of_the_values_that_are_named() {
    for (roles, role, whole) in [
        (json!(null), Role::Person, false),
        (json!([]), Role::Person, false),
        (json!("phone-admins"), Role::Rollout, false),
        (json!("phone-admins phone-root"), Role::Person, false),
        (json!(["x", "phone-admins"]), Role::Rollout, false),
        (json!(["it", "phone-admins"]), Role::Operator, false),
        (json!(["phone-root", "it"]), Role::Operator, true),
        (json!(["PHONE-ROOT", 7, {"it": true}]), Role::Person, false),
    ] {
        let value = json!({"sub": "1", "preferred_username": "a", "realm_access": {"roles": roles}});
        let who = identity(fixed(), &value).unwrap();
        assert_eq!((who.role, who.is_instance()), (role, whole), "{value}");
    }
    // A name with dots is not read as a path.
    let mut of_url = mapping(fixed());
    of_url.roles.claim = "https://example.com/roles".into();
    let value = claims(&json!({"sub": "1", "preferred_username": "a", "https://example.com/roles": ["it"]}));
    assert_eq!(of_url.identity(&value).unwrap().role, Role::Operator);
}

#[test]
fn with_values_for_persons_nobody_else_is_a_person() {
    let mut mapping = mapping(fixed());
    mapping.roles.person = vec!["staff".into()];
    let of = |roles: Value| claims(&json!({"sub": "1", "preferred_username": "a", "realm_access": {"roles": roles}}));
    assert_eq!(mapping.identity(&of(json!(["staff"]))).unwrap().role, Role::Person);
    for unknown in [json!(["guest"]), json!(null)] {
        assert_eq!(mapping.identity(&of(unknown)), Err(ClaimFault::Role("realm_access.roles".into())));
    }
    assert_eq!(mapping.identity(&of(json!(["it"]))).unwrap().role, Role::Operator);
}

#[test]
fn the_domain_comes_from_the_configured_source() {
    let with = |more: Value| {
        let mut all = claims(&json!({"sub": "1", "preferred_username": "a"}));
        all.extend(claims(&more));
        Value::Object(all)
    };
    let claim = || DomainFrom::Claim("org".into());
    let missing = |claim: &str| Err(ClaimFault::Domain(claim.into()));
    let named = |domain: &str| Ok(DomainName::parse(domain).unwrap());
    for (from, more, expected) in [
        (claim(), json!({"org": "Example.COM"}), named("example.com")),
        (claim(), json!({}), missing("org")),
        (claim(), json!({"org": "a b"}), missing("org")),
        (claim(), json!({"org": ["example.com"]}), missing("org")),
        (DomainFrom::Email, json!({"email": "a@b@example.com", "email_verified": true}), named("example.com")),
        (DomainFrom::Email, json!({"email": "a@example.com", "email_verified": "true"}), named("example.com")),
        (DomainFrom::Email, json!({"email": "a@example.com", "email_verified": false}), Err(ClaimFault::Unverified)),
        (DomainFrom::Email, json!({"email": "a@example.com", "email_verified": 1}), Err(ClaimFault::Unverified)),
        (DomainFrom::Email, json!({"email": "a@example.com"}), Err(ClaimFault::Unverified)),
        (DomainFrom::Email, json!({"email": "nowhere", "email_verified": true}), missing("email")),
        (DomainFrom::Email, json!({"email": "a@", "email_verified": true}), missing("email")),
    ] {
        let value = with(more);
        let domain = identity(from, &value).map(|who| who.domain.unwrap());
        assert_eq!(domain, expected, "{value}");
    }
    // An operator without the claim does not become one of the whole instance.
    let operator = with(json!({"realm_access": {"roles": ["it"]}}));
    assert_eq!(identity(claim(), &operator), Err(ClaimFault::Domain("org".into())));
}

#[test]
fn a_missing_claim_is_asked_for_at_the_user_info_endpoint() {
    let mut mapping = mapping(fixed());
    let all = json!({"sub": "1", "name": "A", "preferred_username": "a", "realm_access": {"roles": []}});
    assert!(!mapping.wants_more(&claims(&all)));
    mapping.domain = DomainFrom::Claim("org".into());
    assert!(mapping.wants_more(&claims(&all)));
    mapping.domain = fixed();
    mapping.roles.claim = "groups".into();
    assert!(mapping.wants_more(&claims(&all)));
    mapping.roles.claim = String::new();
    assert!(!mapping.wants_more(&claims(&all)));
}
