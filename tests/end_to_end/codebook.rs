//! Codes, roll-outs and timelines as an operator sees them, while phones use them.

use std::time::Duration;

use provbroker::config::Config;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{
    ADMIN_PASSWORD, Broker, CATEGORY, DOMAIN, INSTANCE_PASSWORD, OTHER, OTHER_PASSWORD, PASSWORD, STORAGE,
};
use crate::support::operator::{Operator, json_of};
use crate::support::peer::{Device, identify_with, init, until};
use crate::support::raw::Answer;
use crate::support::secrets;

const PHONE: &str = "0090334100c1";
const CODES: &str = "/api/v1/domains/example.com/codes";
const ROLLOUTS: &str = "/api/v1/domains/example.com/rollouts";
const FLOOR: &str = "?name=Floor&category=Desk%20phones";

async fn operator(broker: &Broker) -> Operator {
    Operator::log_in(broker.addr, Some(DOMAIN), PASSWORD).await
}

/// Issues a code over REST.
async fn issue(operator: &Operator) -> String {
    let answer = operator.post(CODES, &json!({"category": CATEGORY, "sip": "anna"})).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let code = json_of(&answer)["code"].as_str().unwrap().to_owned();
    secrets::note(&code);
    code
}

fn events(timeline: &Value) -> Vec<&str> {
    timeline["steps"].as_array().unwrap().iter().map(|step| step["event"].as_str().unwrap()).collect()
}

/// Waits until a timeline has so many events: they are written asynchronously.
async fn timeline(operator: &Operator, target: &str, steps: usize) -> Value {
    until("the steps", async || events(&operator.read(target).await).len() >= steps).await;
    operator.read(target).await
}

/// Notices settle at once.
fn prompt(config: &mut Config) {
    config.apps.notice_hold = Duration::from_millis(1);
}

on_each_store!(the_life_of_a_code, prompt, async |broker: &Broker| {
    let operator = operator(broker).await;
    let code = issue(&operator).await;
    let target = format!("{CODES}/{code}");
    let listed = operator.read(CODES).await;
    let entry = &listed["codes"][0];
    assert_eq!((&entry["code"], &entry["state"], &entry["sip"]), (&json!(code), &json!("open"), &json!("anna")));
    assert_eq!(
        (&entry["category"], &entry["rollout"], &listed["next"]),
        (&json!(CATEGORY), &json!(false), &Value::Null)
    );
    assert_eq!(operator.read(&target).await["state"], "open");
    let waiting = timeline(&operator, &format!("{target}/timeline"), 1).await;
    assert_eq!((events(&waiting), &waiting["standstill"]["reason"]), (vec!["issued"], &json!("code-not-used")));

    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    users.request(json!({"mt": "GetProvisioningCategories"})).await;
    let (phone, _) = Device::enter(broker.addr, PHONE, &code).await;
    // No connection waits for a code requested over REST, so its notice goes to any that acts as Users.
    let notice = users.next_notice().await;
    assert_eq!((&notice["code"], &notice["src"]), (&json!(code), &Value::Null));
    // Only a client that keeps reading answers the ping after the notice.
    users.quiet().await;

    let whole = ["issued", "entered", "notice-ready", "notice-sent", "notice-settled"];
    let of_code = timeline(&operator, &format!("{target}/timeline"), whole.len()).await;
    assert_eq!((events(&of_code), &of_code["standstill"]), (whole.to_vec(), &Value::Null));
    assert_eq!((&of_code["steps"][1]["detail"], &of_code["steps"][3]["detail"]), (&json!("code"), &json!("users")));
    let timeline_path = format!("/api/v1/domains/example.com/devices/{PHONE}/timeline");
    let of_device = timeline(&operator, &timeline_path, whole.len() - 1).await;
    assert_eq!((events(&of_device), &of_device["standstill"]), (whole[1..].to_vec(), &Value::Null));

    let used = operator.read(&format!("{CODES}?state=used")).await;
    assert_eq!((&used["codes"][0]["code"], &used["codes"][0]["device"]), (&json!(code), &json!(PHONE)));
    assert_eq!(operator.read(&format!("{CODES}?state=open")).await["codes"], json!([]));
    let sheet = operator.get(&format!("{CODES}.csv")).await;
    assert_eq!(sheet.field("content-type"), Some("text/csv; charset=utf-8"));
    let line = sheet.body.lines().nth(1).unwrap();
    assert!(
        line.starts_with(&format!("{code},{CATEGORY},anna,no,2")) && line.ends_with(&format!("Z,used,{PHONE},")),
        "{line}"
    );

    let refused = operator.delete(&target).await;
    assert_eq!((refused.status, &json_of(&refused)["type"]), (409, &json!("conflict")));
    phone.leave().await;
    until("the phone is away", async || {
        operator.read(&timeline_path).await["standstill"]["reason"] == "password-tentative"
    })
    .await;
});

on_each_store!(a_revoked_code_is_like_one_that_never_was, |_| {}, async |broker: &Broker| {
    let operator = operator(broker).await;
    let code = issue(&operator).await;
    let never = "000000000000";
    let script =
        async |code: &str| init(broker.addr, &format!("mac={PHONE}&type=IP112&PROVISIONING-CODE={code}")).await;
    assert!(script(&code).await.body.starts_with("# ok"), "it leads here");
    assert_eq!(operator.delete(&format!("{CODES}/{code}")).await.status, 204);

    assert_eq!(script(&code).await.body, script(never).await.body);
    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    for (code, phone) in [(&code[..], PHONE), (never, "0090334100c2")] {
        let gone = operator.delete(&format!("{CODES}/{code}")).await;
        assert_eq!((gone.status, &json_of(&gone)["detail"]), (404, &json!("there is no such code")));
        assert_eq!(operator.get(&format!("{CODES}/{code}")).await.status, 404);
        let asked = users.request(json!({"mt": "GetProvisionedDevice", "code": code})).await;
        assert_eq!(asked["error"], "not found");
        // An unassigned device gets no message.
        Device::identified(broker.addr, &identify_with(phone, code)).await.quiet().await;
    }
    assert_eq!(operator.read(CODES).await["codes"], json!([]));
    let timeline_path = timeline(&operator, &format!("{CODES}/{code}/timeline"), 3).await;
    assert_eq!(
        (events(&timeline_path), &timeline_path["standstill"]["reason"]),
        (vec!["issued", "found", "revoked"], &json!("code-revoked"))
    );
    assert_eq!(operator.get(&format!("{CODES}/{never}/timeline")).await.status, 404);
});

on_each_store!(a_device_of_another_domain_is_seen_on_both_sides, |_| {}, async |broker: &Broker| {
    let operator = operator(broker).await;
    let other = Operator::log_in(broker.addr, Some(OTHER), OTHER_PASSWORD).await;
    let code = issue(&operator).await;
    let (mut phone, password) = Device::enter(broker.addr, PHONE, &code).await;
    phone.expect_admin_password(&password).await;
    let answer = other.post("/api/v1/domains/other.example/codes", &json!({"category": CATEGORY})).await;
    let foreign = json_of(&answer)["code"].as_str().unwrap().to_owned();
    secrets::note(&foreign);
    phone.identify(&identify_with(PHONE, &foreign)).await;
    phone.quiet().await;
    let theirs = timeline(&other, &format!("/api/v1/domains/other.example/codes/{foreign}/timeline"), 2).await;
    assert_eq!(
        (events(&theirs), &theirs["standstill"]["reason"]),
        (vec!["issued", "other-domain"], &json!("other-domain"))
    );
    let timeline_path = format!("/api/v1/domains/example.com/devices/{PHONE}/timeline");
    let ours = timeline(&operator, &timeline_path, 3).await;
    assert!(events(&ours).contains(&"other-domain"), "{ours}");
    assert_eq!(other.get(&format!("/api/v1/domains/other.example/devices/{PHONE}/timeline")).await.status, 404);
});

on_each_store!(a_rollout_from_a_list_to_registered_phones, |_| {}, async |broker: &Broker| {
    let operator = operator(broker).await;
    let list = "\u{feff}SIP;Name\r\nanna;\"Smith; Anna\"\r\n+49;=cmd()\r\nbob;\r\n";
    let made = operator.post_csv(&format!("{ROLLOUTS}{FLOOR}"), list).await;
    assert_eq!((made.status, made.field("content-type")), (201, Some("text/csv; charset=utf-8")), "{}", made.body);
    let lines: Vec<Vec<String>> = made.body.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    assert_eq!(lines[0], ["sip", "name", "code", "validUntil", "state"]);
    let shown: Vec<_> = lines[1..].iter().map(|line| (&*line[0], &*line[1], &*line[4])).collect();
    assert_eq!(shown, [("anna", "Smith; Anna", "pending"), ("'+49", "'=cmd()", "pending"), ("bob", "", "pending")]);
    lines[1..].iter().for_each(|line| secrets::note(&line[2]));
    let target = made.field("location").unwrap().to_owned();
    let rollout = operator.read(&target).await;
    let counts = (&rollout["users"], &rollout["rows"], &rollout["complete"], &rollout["name"]);
    assert_eq!(counts, (&json!(3), &json!(3), &json!(true), &json!("Floor")));
    assert_eq!(operator.read(ROLLOUTS).await["rollouts"], json!([rollout]));

    let (_phone, _) = Device::enter(broker.addr, PHONE, &lines[2][2]).await;
    let page = operator.read(&format!("{target}/rows?limit=2")).await;
    let rows: Vec<_> = page["rows"].as_array().unwrap().iter().map(|row| (&row["sip"], &row["state"])).collect();
    let (pending, registered) = (json!("pending"), json!("registered"));
    assert_eq!(rows, [(&json!("anna"), &pending), (&json!("+49"), &registered)]);
    assert_eq!((&page["next"], &page["rows"][1]["device"]), (&json!(2), &json!(PHONE)));
    let rest = operator.read(&format!("{target}/rows?limit=2&cursor=2")).await;
    assert_eq!((rest["rows"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let sheet = operator.get(&format!("{target}/rows.csv")).await.body;
    let states: Vec<_> = sheet.lines().skip(1).map(|line| line.rsplit(',').next().unwrap()).collect();
    assert_eq!(states, ["pending", "registered", "pending"]);

    let removed = operator.delete(&format!("{target}?revoke=true")).await;
    assert_eq!((removed.status, json_of(&removed)), (200, json!({"revoked": 2})));
    for gone in
        [target.clone(), format!("{target}/rows"), format!("{target}/rows.csv"), format!("{CODES}/{}", lines[1][2])]
    {
        assert_eq!(operator.get(&gone).await.status, 404, "{gone}");
    }
    assert_eq!(operator.delete(&target).await.status, 404);
    assert_eq!(operator.read(CODES).await["codes"].as_array().unwrap().len(), 1, "the used one stays");
});

on_each_store!(a_rollout_from_json, |_| {}, async |broker: &Broker| {
    let operator = operator(broker).await;
    let order =
        json!({"name": "Floor", "category": CATEGORY, "users": [{"sip": "anna", "name": "Anna"}, {"sip": "bob"}]});
    let made = operator.post(ROLLOUTS, &order).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(json_of(&made), operator.read(made.field("location").unwrap()).await);
    let rows = operator.read(&format!("{}/rows", made.field("location").unwrap())).await;
    assert_eq!((&rows["rows"][0]["name"], &rows["rows"][1]["sip"]), (&json!("Anna"), &json!("bob")));
    for row in rows["rows"].as_array().unwrap() {
        secrets::note(row["code"].as_str().unwrap());
        let code = operator.read(&format!("{CODES}/{}", row["code"].as_str().unwrap())).await;
        let valid = code["validUntil"].as_u64().unwrap();
        assert_eq!((&code["rollout"], &code["sip"], &row["validUntil"]), (&json!(true), &row["sip"], &json!(valid)));
    }
});

on_each_store!(a_list_with_a_mistake_begins_nothing, |_| {}, async |broker: &Broker| {
    let operator = operator(broker).await;
    let of = async |csv: &str| operator.post_csv(&format!("{ROLLOUTS}{FLOOR}"), csv).await;
    let field = |answer: &Answer| (answer.status, json_of(answer)["field"].as_str().map(str::to_owned));
    let good = (0..3000).map(|number| format!("user{number},\n")).collect::<Vec<_>>().concat();
    let wrong = of(&format!("sip,name\n{good},Nobody\n")).await;
    assert_eq!(field(&wrong), (422, Some("line 3002, column 1 (sip)".into())));
    assert_eq!(field(&of("sip,name\nanna,Anna,7\n").await), (422, Some("line 2, column 3".into())));
    assert_eq!(field(&of("").await), (422, Some("line 1".into())));
    for (query, expected) in [
        ("?category=Desk%20phones", (422, Some("name"))),
        ("?name=Floor", (422, Some("category"))),
        ("?name=Floor&category=Nowhere", (409, Some("category"))),
        (&format!("?name=Floor&category={}", STORAGE.replace(' ', "%20")), (409, Some("category"))),
        ("?name=Floor&category=Desk%20phones&user=7", (400, None)),
    ] {
        let answer = operator.post_csv(&format!("{ROLLOUTS}{query}"), "sip\nanna\n").await;
        assert_eq!(field(&answer), (expected.0, expected.1.map(Into::into)), "{query}");
    }
    let order = json!({"name": "F", "category": CATEGORY, "users": [{"sip": "a"}, {"sip": ""}]});
    assert_eq!(field(&operator.post(ROLLOUTS, &order).await), (422, Some("users.1.sip".into())));
    for body in
        [json!({"name": "F", "category": CATEGORY}), json!([]), json!({"name": 7, "category": "c", "users": []})]
    {
        assert_eq!(operator.post(ROLLOUTS, &body).await.status, 400);
    }
    let other = operator.try_request("POST", ROLLOUTS, "text/html", "x").await.unwrap();
    assert_eq!((other.status, other.field("content-type")), (415, Some("application/problem+json")));
    assert_eq!(operator.read(ROLLOUTS).await["rollouts"], json!([]));
    assert_eq!(operator.read(CODES).await["codes"], json!([]));
});

on_each_store!(
    a_rollout_that_breaks_off_is_told_and_can_be_revoked,
    |config: &mut Config| config.codes.max_open_rollout = 600,
    async |broker: &Broker| {
        let operator = operator(broker).await;
        let users = (0..1000).map(|number| format!("user{number}\n")).collect::<Vec<_>>().concat();
        let target = format!("{ROLLOUTS}{FLOOR}");
        let broken = operator.try_request("POST", &target, "text/csv", &format!("sip\n{users}")).await;
        assert!(broken.is_none(), "the answer must not look whole");
        let all = operator.read(ROLLOUTS).await;
        let rollout = &all["rollouts"][0];
        assert_eq!(
            (&rollout["users"], &rollout["rows"], &rollout["complete"]),
            (&json!(1000), &json!(600), &json!(false))
        );
        // Without room for a single code there is no roll-out either.
        let full = operator.post_csv(&target, "sip\nanna\n").await;
        assert_eq!((full.status, operator.read(ROLLOUTS).await["rollouts"].as_array().unwrap().len()), (429, 1));
        let removed = operator.delete(&format!("{ROLLOUTS}/{}?revoke=true", rollout["id"])).await;
        assert_eq!(json_of(&removed), json!({"revoked": 600}));
        assert_eq!(operator.read(CODES).await["codes"], json!([]));
        let users: Vec<_> = (0..700).map(|number| json!({"sip": format!("user{number}")})).collect();
        let broken = operator.post(ROLLOUTS, &json!({"name": "F", "category": CATEGORY, "users": users})).await;
        assert_eq!(broken.status, 503);
        let detail = json_of(&broken)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("was broken off with 600 of 700 codes issued"), "{detail}");
    }
);

on_each_store!(codes_are_listed_in_pages, |_| {}, async |broker: &Broker| {
    let operator = Operator::log_in(broker.addr, None, INSTANCE_PASSWORD).await;
    let list = (0..1500).map(|number| format!("user{number}\n")).collect::<Vec<_>>().concat();
    let made = operator.post_csv(&format!("{ROLLOUTS}{FLOOR}"), &format!("sip\n{list}")).await;
    assert_eq!(made.body.lines().count(), 1501);
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = operator.read(&format!("{CODES}?limit=700{next}")).await;
        seen.extend(page["codes"].as_array().unwrap().iter().map(|c| c["sip"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 1500);
    assert_eq!(operator.get(&format!("{CODES}.csv")).await.body.lines().count(), 1501);
    for wrong in ["limit=0", "limit=1001", "cursor=x", "cursor=1-2"] {
        assert_eq!(operator.get(&format!("{CODES}?{wrong}")).await.status, 422, "{wrong}");
    }
    for wrong in ["limit=x", "state=new", "colour=red"] {
        assert_eq!(operator.get(&format!("{CODES}?{wrong}")).await.status, 400, "{wrong}");
    }
});

on_each_store!(another_domain_sees_nothing_of_it, |_| {}, async |broker: &Broker| {
    let operator = operator(broker).await;
    let code = issue(&operator).await;
    let made = operator.post_csv(&format!("{ROLLOUTS}{FLOOR}"), "sip\nanna\n").await;
    let id = made.field("location").unwrap().rsplit('/').next().unwrap().to_owned();
    let other = Operator::log_in(broker.addr, Some(OTHER), OTHER_PASSWORD).await;
    let nobody = Operator::log_in(broker.addr, Some(OTHER), OTHER_PASSWORD).await;
    let things = [
        ("GET", "codes".to_owned()),
        ("GET", "codes.csv".into()),
        ("GET", "devices.csv".into()),
        ("GET", format!("codes/{code}")),
        ("DELETE", format!("codes/{code}")),
        ("GET", format!("codes/{code}/timeline")),
        ("GET", format!("devices/{PHONE}/timeline")),
        ("GET", "rollouts".into()),
        ("GET", format!("rollouts/{id}")),
        ("GET", format!("rollouts/{id}/rows")),
        ("GET", format!("rollouts/{id}/rows.csv")),
        ("DELETE", format!("rollouts/{id}?revoke=true")),
    ];
    for (method, thing) in &things {
        let theirs = other.try_request(method, &format!("/api/v1/domains/example.com/{thing}"), "", "").await.unwrap();
        let none =
            nobody.try_request(method, &format!("/api/v1/domains/nowhere.example/{thing}"), "", "").await.unwrap();
        assert_eq!((theirs.status, &theirs.body), (404, &none.body), "{method} {thing}");
    }
    let order = json!({"category": CATEGORY});
    assert_eq!(other.post(CODES, &order).await.status, 404);
    assert_eq!(other.post_csv(&format!("{ROLLOUTS}{FLOOR}"), "sip\nanna\n").await.status, 404);
    // Under its own name, a domain does not find the codes and roll-outs of another.
    for (method, thing) in things.iter().filter(|(_, thing)| thing.contains('/')) {
        let own = other.try_request(method, &format!("/api/v1/domains/other.example/{thing}"), "", "").await.unwrap();
        assert_eq!(own.status, 404, "{method} {thing}");
    }
    assert_eq!(operator.read(&format!("{CODES}/{code}")).await["state"], "open");
    assert_eq!(operator.read(&format!("{ROLLOUTS}/{id}")).await["rows"], 1);
});

on_each_store!(a_code_made_by_hand_is_administrative_by_default, |_| {}, async |broker: &Broker| {
    let operator = operator(broker).await;
    let wish = |flag: Option<bool>| match flag {
        None => json!({"category": CATEGORY}),
        Some(flag) => json!({"category": CATEGORY, "administrative": flag}),
    };
    for (flag, id) in [(None, "0090334100e1"), (Some(true), "0090334100e2"), (Some(false), "0090334100e3")] {
        let made = json_of(&operator.post(CODES, &wish(flag)).await);
        let administrative = flag.unwrap_or(true);
        assert_eq!(made["administrative"], administrative, "{made}");
        let (mut phone, password) = Device::enter(broker.addr, id, made["code"].as_str().unwrap()).await;
        assert_eq!(phone.expect_admin_password(&password).await == ADMIN_PASSWORD, administrative);
    }
});
