//! Checks `[pages.oidc]`.

use url::Url;

use super::{Config, Problem, wrong};
use crate::core::model::ids::DomainName;
use crate::core::protocol::loopback::is_loopback;

pub(super) fn oidc(config: &Config) -> Result<(), Problem> {
    let oidc = &config.pages.oidc;
    if !oidc.is_on() {
        if config.pages.enabled && !config.pages.local_accounts {
            return wrong(
                "pages.local_accounts",
                "is false, and no provider is set, so nobody could sign in; set pages.oidc",
            );
        }
        return Ok(());
    }
    let Some(issuer) = Url::parse(&oidc.issuer).ok().filter(Url::has_host) else {
        return wrong("pages.oidc.issuer", "is not an address; write https://HOST/PATH as the provider calls itself");
    };
    if issuer.scheme() != "https" && !(issuer.scheme() == "http" && is_loopback(&issuer)) {
        return wrong("pages.oidc.issuer", "must begin with https://; http is allowed on this machine only");
    }
    if issuer.query().is_some() || issuer.fragment().is_some() || !issuer.username().is_empty() {
        return wrong("pages.oidc.issuer", "must have no user, query or fragment; remove it");
    }
    if oidc.client_id.is_empty() {
        return wrong(
            "pages.oidc.client_id",
            "is empty; register this service at the provider, and set the id that it gives",
        );
    }
    if !oidc.scopes.iter().any(|scope| scope == "openid") {
        return wrong("pages.oidc.scopes", "must have openid among them: OpenID Connect requires it");
    }
    for (key, claim) in [("pages.oidc.account_claim", &oidc.account_claim), ("pages.oidc.sip_claim", &oidc.sip_claim)] {
        if claim.is_empty() {
            return wrong(key, "is empty; name a claim");
        }
    }
    let sources = [!oidc.domain.is_empty(), !oidc.domain_claim.is_empty(), oidc.domain_of_email];
    if sources.into_iter().filter(|set| *set).count() != 1 {
        return wrong(
            "pages.oidc.domain",
            "says where people belong, or domain_claim does, or domain_of_email; set exactly one of the three",
        );
    }
    if !oidc.domain.is_empty() && DomainName::parse(&oidc.domain).is_err() {
        return wrong("pages.oidc.domain", "is not a domain name; write one such as example.com");
    }
    let lists = [&oidc.persons, &oidc.rollout, &oidc.operators, &oidc.instance_operators];
    if oidc.role_claim.is_empty() && lists.into_iter().any(|list| !list.is_empty()) {
        return wrong("pages.oidc.role_claim", "is empty, but values for roles are set; name the claim with the roles");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_provider_that_does_not_fit_is_refused() {
        let with = |line: &str| {
            let (key, _) = line.split_once(" = ").unwrap();
            let all = ["issuer = \"https://id.example/realm\"", "client_id = \"pb\"", "domain = \"example.com\""];
            let kept = all.into_iter().filter(|other| !other.starts_with(&format!("{key} ")));
            format!("[pages.oidc]\n{}\n{line}\n", kept.collect::<Vec<_>>().join("\n"))
        };
        for good in [
            "issuer = \"http://127.0.0.1:9/\"",
            "client_secret = \"s\"",
            "domain = \"\"\ndomain_claim = \"org\"",
            "domain = \"\"\ndomain_of_email = true",
            "role_claim = \"groups\"\noperators = [\"it\"]",
        ] {
            crate::config::parse(&with(good), "f").unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        assert!(crate::config::parse("[pages]\nlocal_accounts = false\n", "f").is_err());
        assert!(
            crate::config::parse(&format!("[pages]\nlocal_accounts = false\n{}", with("name = \"us\"")), "f").is_ok()
        );
        for (line, key) in [
            ("issuer = \"id.example\"", "issuer is not an address"),
            ("issuer = \"http://id.example\"", "issuer must begin with https"),
            ("issuer = \"http://localhost.example\"", "issuer must begin with https"),
            ("issuer = \"https://id.example/?a=b\"", "issuer must have no user"),
            ("issuer = \"https://u@id.example/\"", "issuer must have no user"),
            ("client_id = \"\"", "client_id is empty"),
            ("scopes = [\"email\"]", "scopes must have openid"),
            ("account_claim = \"\"", "account_claim is empty"),
            ("sip_claim = \"\"", "sip_claim is empty"),
            ("domain = \"\"", "domain says where"),
            ("domain_claim = \"org\"", "domain says where"),
            ("domain = \"a b\"", "domain is not a domain"),
            ("operators = [\"it\"]", "role_claim is empty"),
            ("timeout = \"2m\"", "timeout is 2m"),
        ] {
            let message = crate::config::parse(&with(line), "f.toml").expect_err(line).to_string();
            assert!(message.starts_with(&format!("f.toml: pages.oidc.{key}")), "{line}\n→ {message}");
        }
    }
}
