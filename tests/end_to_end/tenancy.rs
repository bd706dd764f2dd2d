//! Operators manage tenants over the REST interface.

use provbroker::store::{PutCategory, Signal};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{
    ADMIN_PASSWORD, Broker, CATEGORY, DOMAIN, INSTANCE_PASSWORD, OTHER, OTHER_PASSWORD, PASSWORD, QUERY, STORAGE,
};
use crate::support::peer::{Device, guarded, identify};
use crate::support::secrets;

const PHONE: &str = "0090334100e1";
const AUTOMATIC: &str = "0090334100e2";

/// A caller with a token.
struct Operator {
    client: reqwest::Client,
    root: String,
    token: String,
}

impl Operator {
    async fn new(broker: &Broker, domain: &str, password: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let root = format!("http://{}/api/v1", broker.addr);
        let mut this = Self { client: reqwest::Client::new(), root, token: String::new() };
        let (status, answer) =
            this.call(Method::POST, "/token", &json!({"domain": domain, "password": password})).await;
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().unwrap().clone_into(&mut this.token);
        secrets::note(&this.token);
        this
    }

    async fn instance(broker: &Broker) -> Self {
        Self::new(broker, "", INSTANCE_PASSWORD).await
    }

    /// Status and body; a body of `Null` is not sent.
    async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.root));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = guarded("an answer", request.send()).await.unwrap();
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let text = answer.text().await.unwrap();
        if status == 204 {
            assert!(text.is_empty());
            return (status, Value::Null);
        }
        let expected = if status < 300 { "application/json" } else { "application/problem+json" };
        assert_eq!(kind.as_deref(), Some(expected), "{text}");
        (status, serde_json::from_str(&text).unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        self.done(Method::GET, path, &Value::Null).await
    }

    /// A call that has to succeed.
    async fn done(&self, method: Method, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// A call that has to fail; returns the problem.
    async fn refused(&self, status: u16, method: Method, path: &str, body: &Value) -> Value {
        let (answered, problem) = self.call(method, path, body).await;
        assert_eq!(answered, status, "{path}: {problem}");
        assert_eq!(problem["status"], status);
        problem
    }
}

fn build_list(firmware: &str) -> Value {
    json!({"baseUrl": "https://files.example.org/fw/", "products": {"IP112": {"firmware": firmware}}})
}

on_each_store!(a_tenant_lives_its_life, |_| {}, async |broker: &Broker| {
    let operator = Operator::instance(broker).await;
    let new = json!({"name": "New.example", "password": "first-password", "autoToken": "token-of-new-example",
        "categories": [{"name": "Phones", "provisioning": true}]});
    secrets::note("token-of-new-example");
    let made = operator.done(Method::POST, "/domains", &new).await;
    assert_eq!((&made["name"], &made["deploysAdminPassword"]), (&json!("new.example"), &json!(false)));
    assert_eq!((&made["autoProvisioning"], &made["accessTo"]), (&json!(true), &json!([])));
    operator.refused(409, Method::POST, "/domains", &new).await;
    let by_number = format!("/domains/{}", made["id"]);
    assert_eq!(operator.get(&by_number).await, made);
    assert_eq!(operator.get("/domains").await["domains"].as_array().unwrap().len(), 3);

    // Its own password is valid until it is changed.
    let own = Operator::new(broker, "new.example", "first-password").await;
    let mut own_view = own.get("/domains").await["domains"].clone();
    assert_eq!(own_view.as_array_mut().unwrap().pop(), Some(made.clone()));
    let change = json!({"password": "second-password", "adminPassword": "admin-of-new-example"});
    secrets::note("admin-of-new-example");
    assert_eq!(own.done(Method::PATCH, "/domains/new.example", &change).await["deploysAdminPassword"], true);
    own.refused(401, Method::GET, "/domains/new.example", &Value::Null).await;
    let own = Operator::new(broker, "new.example", "second-password").await;
    own.refused(403, Method::DELETE, "/domains/new.example", &Value::Null).await;

    let phones = &made["categories"][0]["id"];
    let categories = format!("{by_number}/categories");
    let gateways = own.done(Method::POST, &categories, &json!({"name": "Gateways", "provisioning": false})).await;
    let problem = own.refused(409, Method::POST, &categories, &json!({"name": "Phones", "provisioning": true})).await;
    assert_eq!(problem["type"], "conflict");
    let gateways_at = format!("{categories}/{}", gateways["id"]);
    own.done(Method::PUT, &gateways_at, &json!({"name": "Analogue", "provisioning": true})).await;
    assert_eq!(own.get(&gateways_at).await, json!({"id": gateways["id"], "name": "Analogue", "provisioning": true}));

    // An update job uses the build list that is current when it is made.
    let (update_jobs, config_jobs) = (format!("{by_number}/update-jobs"), format!("{by_number}/config-jobs"));
    own.refused(409, Method::POST, &update_jobs, &json!({})).await;
    own.refused(404, Method::GET, &format!("{by_number}/builds"), &Value::Null).await;
    own.done(Method::PUT, &format!("{by_number}/builds"), &build_list("136012")).await;
    let order = json!({"category": phones, "hours": {"allow": [22, 23], "utcOffset": 60}});
    let update = own.done(Method::POST, &update_jobs, &order).await;
    own.done(Method::PUT, &format!("{by_number}/builds"), &build_list("141103")).await;
    assert_eq!(own.get(&format!("{by_number}/builds")).await, build_list("141103"));
    let read = own.get(&format!("{by_number}/jobs/{}", update["id"])).await;
    assert_eq!(read, update);
    assert_eq!(read["update"]["builds"], build_list("136012"));
    assert_eq!((&read["category"], &read["update"]["hours"]), (phones, &order["hours"]));
    let phone =
        json!({"kind": "dot1x", "values": {"method": "peap", "user": "phone", "password": "secret-of-the-switch"}});
    secrets::note("secret-of-the-switch");
    let config = own.done(Method::POST, &config_jobs, &phone).await;
    assert_eq!(config["config"]["values"], json!({"method": "peap", "user": "phone", "password": "hidden"}));
    let jobs = own.get(&format!("{by_number}/jobs")).await;
    assert_eq!(jobs["jobs"][1], config);
    assert_eq!(jobs["jobs"][0]["update"], json!({"products": 1, "hours": order["hours"]}));

    own.refused(409, Method::DELETE, &format!("{categories}/{phones}"), &Value::Null).await;
    own.done(Method::DELETE, &format!("{by_number}/jobs/{}", update["id"]), &Value::Null).await;
    own.refused(404, Method::DELETE, &format!("{by_number}/jobs/{}", update["id"]), &Value::Null).await;
    own.done(Method::DELETE, &format!("{categories}/{phones}"), &Value::Null).await;
    operator.done(Method::DELETE, &by_number, &Value::Null).await;
    operator.refused(404, Method::GET, &by_number, &Value::Null).await;
    own.refused(401, Method::GET, &by_number, &Value::Null).await;
});

on_each_store!(of_another_domain_nothing_exists, |_| {}, async |broker: &Broker| {
    let operator = Operator::instance(broker).await;
    let at = format!("/domains/{DOMAIN}");
    let category = operator.get(&at).await["categories"][0]["id"].clone();
    operator.done(Method::PUT, &format!("{at}/builds"), &build_list("1")).await;
    let job = operator.done(Method::POST, &format!("{at}/update-jobs"), &json!({})).await["id"].clone();
    let before = (operator.get(&at).await, operator.get(&format!("{at}/jobs")).await);

    let unassigned_device = Operator::new(broker, OTHER, OTHER_PASSWORD).await;
    let named = json!({"name": "x", "provisioning": true});
    let config = json!({"kind": "ntp", "values": {"server": "ntp.example.org"}});
    let calls = [
        (Method::GET, String::new(), Value::Null),
        (Method::PATCH, String::new(), json!({"password": "mine-all-mine"})),
        (Method::DELETE, String::new(), Value::Null),
        (Method::GET, "/access".into(), Value::Null),
        (Method::PUT, "/access".into(), json!({"domains": [OTHER]})),
        (Method::GET, "/categories".into(), Value::Null),
        (Method::POST, "/categories".into(), named.clone()),
        (Method::GET, format!("/categories/{category}"), Value::Null),
        (Method::PUT, format!("/categories/{category}"), named),
        (Method::DELETE, format!("/categories/{category}"), Value::Null),
        (Method::GET, "/jobs".into(), Value::Null),
        (Method::GET, format!("/jobs/{job}"), Value::Null),
        (Method::DELETE, format!("/jobs/{job}"), Value::Null),
        (Method::POST, "/update-jobs".into(), json!({})),
        (Method::POST, "/config-jobs".into(), config),
        (Method::GET, "/builds".into(), Value::Null),
        (Method::PUT, "/builds".into(), build_list("2")),
    ];
    let number = format!("/domains/{}", before.0["id"]);
    for (method, path, body) in calls {
        for domain in [&at, &number] {
            let there = unassigned_device.refused(404, method.clone(), &format!("{domain}{path}"), &body).await;
            let nowhere =
                unassigned_device.refused(404, method.clone(), &format!("/domains/nowhere.example{path}"), &body).await;
            assert_eq!(there, nowhere, "{method} {path}");
        }
    }
    unassigned_device
        .refused(403, Method::POST, "/domains", &json!({"name": "x.example", "password": "mine-all-mine"}))
        .await;
    assert_eq!(unassigned_device.get("/domains").await["domains"].as_array().unwrap().len(), 1);
    assert_eq!((operator.get(&at).await, operator.get(&format!("{at}/jobs")).await), before);

    // With access it may read, but not change.
    let given = json!({"domains": [OTHER]});
    let owner = Operator::new(broker, DOMAIN, PASSWORD).await;
    assert_eq!(owner.done(Method::PUT, &format!("{at}/access"), &given).await, given);
    assert_eq!(owner.get(&format!("{at}/access")).await, given);
    assert_eq!(unassigned_device.get(&at).await, before.0);
    assert_eq!(unassigned_device.get("/domains").await["domains"].as_array().unwrap().len(), 2);
    unassigned_device.refused(403, Method::PATCH, &at, &json!({"password": "mine-all-mine"})).await;
    unassigned_device.refused(403, Method::PUT, &format!("{at}/builds"), &build_list("2")).await;
    owner.refused(404, Method::GET, &format!("/domains/{OTHER}"), &Value::Null).await;
    owner.done(Method::PUT, &format!("{at}/access"), &json!({"domains": []})).await;
    unassigned_device.refused(404, Method::GET, &at, &Value::Null).await;
});

on_each_store!(a_wrong_member_is_named, |_| {}, async |broker: &Broker| {
    let owner = Operator::new(broker, DOMAIN, PASSWORD).await;
    let at = format!("/domains/{DOMAIN}");
    let wrong = [
        (Method::PATCH, "", json!({"password": ""}), "password"),
        (Method::PATCH, "", json!({"adminPassword": "with\nline end"}), "adminPassword"),
        (Method::POST, "/categories", json!({"name": "  ", "provisioning": true}), "name"),
        (Method::POST, "/categories", json!({"name": "Hall, left", "provisioning": true}), "name"),
        (Method::POST, "/config-jobs", json!({"kind": "coffee", "values": {}}), "kind"),
        (Method::POST, "/config-jobs", json!({"kind": "ntp", "values": {}}), "values.server"),
        (Method::POST, "/config-jobs", json!({"kind": "ntp", "values": {"server": "a", "colour": 1}}), "values.colour"),
        (Method::POST, "/update-jobs", json!({"builds": {"baseUrl": "ftp://a/", "products": {}}}), "builds.baseUrl"),
        (Method::PUT, "/builds", json!({"baseUrl": "http://a/", "products": {"IP112": {}}}), "products.IP112"),
    ];
    for (method, path, body, field) in wrong {
        let problem = owner.refused(422, method, &format!("{at}{path}"), &body).await;
        assert_eq!((&problem["type"], &problem["field"]), (&json!("invalid"), &json!(field)), "{problem}");
    }
    let unfit = [
        (Method::PUT, "/access", json!({"domains": [OTHER, "nowhere.example"]}), "domains.1"),
        (Method::PUT, "/access", json!({"domains": [DOMAIN]}), "domains.0"),
        (Method::POST, "/config-jobs", json!({"category": 99, "kind": "ntp", "values": {"server": "a"}}), "category"),
    ];
    for (method, path, body, field) in unfit {
        let problem = owner.refused(409, method, &format!("{at}{path}"), &body).await;
        assert_eq!((&problem["type"], &problem["field"]), (&json!("conflict"), &json!(field)), "{problem}");
    }
    let hours = json!({"builds": build_list("1"), "hours": {"allow": [24]}});
    let problem = owner.refused(422, Method::POST, &format!("{at}/update-jobs"), &hours).await;
    assert_eq!(problem["field"], "hours.allow");
    // An unreadable body is another error.
    owner.refused(400, Method::PATCH, &at, &json!({"passwort": "x"})).await;
    owner.refused(400, Method::PATCH, &at, &json!([null, null])).await;
    let hours = json!({"builds": build_list("1"), "hours": [[22], 0]});
    owner.refused(400, Method::POST, &format!("{at}/update-jobs"), &hours).await;
    owner.refused(405, Method::POST, &at, &Value::Null).await;
    owner.refused(404, Method::GET, &format!("{at}/jobs/x"), &Value::Null).await;
    assert_eq!(owner.get(&format!("{at}/jobs")).await, json!({"jobs": []}));
});

on_each_store!(a_name_with_a_comma_is_kept_but_not_new, |_| {}, async |broker: &Broker| {
    let domain = provbroker::core::model::ids::DomainName::parse(DOMAIN).unwrap();
    // As a version that allowed it has stored it.
    let PutCategory::Kept(old) = broker.store().put_category(&domain, None, "Hall, left", true).await.unwrap() else {
        panic!("not made")
    };
    broker.store().publish(&Signal::Tenant { domain }).await.unwrap();
    let owner = Operator::new(broker, DOMAIN, PASSWORD).await;
    let at = format!("/domains/{DOMAIN}/categories/{}", old.id.0);
    let kept = json!({"name": "Hall, left", "provisioning": false});
    assert_eq!(owner.done(Method::PUT, &at, &kept).await["provisioning"], false);
    let renamed = json!({"name": "Hall, right", "provisioning": false});
    assert_eq!(owner.refused(422, Method::PUT, &at, &renamed).await["field"], "name");
    let root = Operator::instance(broker).await;
    let made = json!({"name": "new.example", "password": "long enough", "autoToken": "",
        "categories": [{"name": "a", "provisioning": true}, {"name": "b,c", "provisioning": true}]});
    assert_eq!(root.refused(422, Method::POST, "/domains", &made).await["field"], "categories.1.name");
});

on_each_store!(a_changed_administrative_password_reaches_the_members, |_| {}, async |broker: &Broker| {
    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    let code = users.administrative_code(CATEGORY, "p1").await;
    let (mut phone, password) = Device::enter(broker.addr, PHONE, &code).await;
    assert_eq!(phone.expect_admin_password(&password).await, ADMIN_PASSWORD);
    let mut automatic = Device::connect(broker.addr, QUERY).await;
    automatic.identify(&identify(AUTOMATIC)).await;
    let its_password = automatic.expect_password().await;
    let its_own = automatic.expect_admin_password(&its_password).await;
    phone.quiet().await;
    automatic.quiet().await;

    let owner = Operator::new(broker, DOMAIN, PASSWORD).await;
    let at = format!("/domains/{DOMAIN}");
    owner.done(Method::PATCH, &at, &json!({"adminPassword": "a new administrative one"})).await;
    assert_eq!(phone.expect_admin_password(&password).await, "a new administrative one");
    // The same password again is no change, nor are other settings, and an empty password is never sent.
    for change in [
        json!({"adminPassword": "a new administrative one"}),
        json!({"autoToken": "another-token-of-example"}),
        json!({"adminPassword": ""}),
    ] {
        owner.done(Method::PATCH, &at, &change).await;
    }
    owner.done(Method::PATCH, &at, &json!({"adminPassword": "the last administrative one"})).await;
    assert_eq!(phone.expect_admin_password(&password).await, "the last administrative one");
    // By now the other device would have been sent it, too; it keeps its own.
    automatic.quiet().await;
    automatic.leave().await;
    let mut automatic = Device::come_back(broker.addr, AUTOMATIC, &its_password).await;
    assert_eq!(automatic.expect_admin_password(&its_password).await, its_own);
    secrets::note("another-token-of-example");
});

on_each_store!(what_devices_and_codes_belong_to_stays, |_| {}, async |broker: &Broker| {
    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    let _code = users.code(CATEGORY, "p1").await;
    let operator = Operator::instance(broker).await;
    let at = format!("/domains/{DOMAIN}");
    let categories = operator.get(&at).await["categories"].clone();
    let number = |name: &str| {
        let found = categories.as_array().unwrap().iter().find(|category| category["name"] == name);
        found.unwrap()["id"].clone()
    };
    let used = format!("{at}/categories/{}", number(CATEGORY));
    operator.refused(409, Method::DELETE, &used, &Value::Null).await;
    operator.done(Method::DELETE, &format!("{at}/categories/{}", number(STORAGE)), &Value::Null).await;
    assert_eq!(operator.get(&at).await["categories"].as_array().unwrap().len(), 1);
});
