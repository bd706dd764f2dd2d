//! The pages of persons and of roll-out administrators: what they do, and that nobody sees the data of others.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use provbroker::config::{Account, Config};
use provbroker::core::model::accounts::{AccountName, Role};
use provbroker::core::model::ids::{DomainName, Secret};
use provbroker::users_role::LinkStatus;
use serde_json::json;
use tempfile::TempDir;

use crate::browser::Browser;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, Keep, OTHER, PASSWORD as OF_DOMAIN, STORAGE, with_broker};
use crate::support::peer::{Device, until};
use crate::support::raw::Answer;
use crate::support::rest::Operator;
use crate::support::secrets;
use crate::{PASSWORD, accounts};

const PHONE: &str = "0090334100e1";

/// `=1+1` is the name of a person.
const USERS: &str = "sip,name,groups,number,domain\n\
    anna,Anna Berg,Sales,201,example.com\n\
    ben,Ben Kraft,Lab,202,example.com\n\
    cara,=1+1,Lab,203,example.com\n\
    otto,Otto Fremd,Lab,204,other.example\n";

/// All routes of these pages, each with a request or a roll-out in it.
const READ: [&str; 12] = [
    "/phones",
    "/phones/events",
    "/phones/add",
    "/phones/{id}",
    "/phones/{id}/events",
    "/rollouts/new/phones",
    "/rollouts/new/users",
    "/rollouts",
    "/rollouts/{id:\\d+}",
    "/rollouts/{id:\\d+}/events",
    "/rollouts/{id:\\d+}/codes.csv",
    "/rollouts/{id:\\d+}/cards",
];
const READ_WITHOUT_DATA: [&str; 3] = ["/rollouts/new", "/rollouts/new/events", "/rollouts/events"];
const CHANGES: [&str; 6] = [
    "/phones/add",
    "/phones/{id}/cancel",
    "/rollouts/new/users",
    "/rollouts/{id:\\d+}/reissue",
    "/rollouts/{id:\\d+}/cancel",
    "/rollouts/{id:\\d+}/remove",
];

fn with_people(folder: &TempDir) -> impl FnOnce(&mut Config) {
    let (users, phones) = (folder.path().join("people.csv"), folder.path().join("phones.csv"));
    std::fs::write(&users, USERS).unwrap();
    move |config: &mut Config| {
        accounts(config);
        let account = |name: &str, role, domain: &str| Account {
            name: AccountName::parse(name).unwrap(),
            password: Secret::new(PASSWORD),
            role,
            domain: DomainName::parse(domain).ok(),
            sip: name.into(),
            shown: String::new(),
        };
        config.accounts.push(account("ben", Role::Person, DOMAIN));
        config.accounts.push(account("clerk", Role::Rollout, OTHER));
        config.accounts.push(account("nobody", Role::Person, DOMAIN));
        config.server.roles.insert(provbroker::config::Role::Users);
        (config.users.file.users, config.users.file.phones) = (users, phones);
        // These browsers are faster than people.
        config.pages.questions_per_person = 1_000;
        config.users.order_again = Duration::from_millis(100);
        config.apps.notice_hold = Duration::from_millis(100);
    }
}

/// Runs a test in a broker whose Users role is connected.
fn with_users(keep: &Keep, test: impl AsyncFnOnce(&Broker)) {
    with_changed_users(keep, |_| {}, test);
}

/// The same with a changed configuration.
pub fn with_changed_users(keep: &Keep, change: impl FnOnce(&mut Config), test: impl AsyncFnOnce(&Broker)) {
    let folder = tempfile::tempdir().unwrap();
    let people = with_people(&folder);
    let config = |config: &mut Config| {
        people(config);
        change(config);
    };
    with_broker(keep, config, async |broker| {
        for domain in [DOMAIN, OTHER] {
            let domain = DomainName::parse(domain).unwrap();
            until("the Users role has logged in", async || {
                broker.people().status(&domain).await.unwrap().devices == LinkStatus::Up
            })
            .await;
        }
        test(broker).await;
    });
}

/// The target of a redirect.
pub fn leads_to(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.field("location").unwrap().to_owned()
}

/// The first code that a page shows.
pub fn code_of(body: &str) -> String {
    let at = body.split("class=\"digits\">").nth(1).or_else(|| body.split("class=\"code nowrap\">").nth(1)).unwrap();
    let shown = at[..14].to_owned();
    assert!(shown.bytes().all(|byte| byte.is_ascii_digit() || byte == b' '), "{shown}");
    let digits = shown.replace(' ', "");
    secrets::note(&digits);
    digits
}

/// What a person reads about typing the code, in both languages; and the choice of the category, where there is one.
#[test]
fn a_person_is_told_how_to_confirm_and_chooses_a_category() {
    with_users(&Keep::embedded(), async |broker| {
        let operator = Operator::of(broker.addr, DOMAIN, OF_DOMAIN).await;
        let second = json!({"name": "Meeting rooms", "provisioning": true});
        operator.done("POST", &format!("/domains/{DOMAIN}/categories"), Some(second)).await;
        let mut anna = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let mut form = String::new();
        until("both categories are offered", async || {
            form = anna.page("/ui/phones/add").await;
            form.contains("<select") && form.contains("Meeting rooms")
        })
        .await;
        // A category that is not for provisioning is no choice.
        assert!(form.contains(CATEGORY) && !form.contains(STORAGE), "{form}");
        let request =
            leads_to(&anna.submit("/ui/phones/add", "/ui/phones/add", &[("category", "Meeting rooms")]).await);
        let mut admin = Browser::signed_in(broker.addr, "admin", PASSWORD).await;
        assert!(admin.page("/ui/rollouts/new/phones").await.contains("<select"));
        let rollout = rolled_out(&mut admin, "ben").await;
        for (language, confirm, card, no_form) in [
            (
                "en",
                "confirm with OK. On an IP101 or IP102, end it with #.",
                "IP102: with #",
                "show the form on it again",
            ),
            (
                "de",
                "mit OK. Beenden Sie ihn an einem IP101 oder IP102 mit #.",
                "IP102: mit #",
                "Formular wieder anzeigen",
            ),
        ] {
            (anna.language, admin.language) = (language, language);
            let body = anna.page(&request).await;
            code_of(&body);
            assert!(body.contains(confirm), "{body}");
            assert!(anna.page("/ui/phones/add").await.contains(no_form));
            let body = admin.page(&format!("{rollout}/cards")).await;
            code_of(&body);
            assert!(body.contains(card), "{body}");
        }
        let code = code_of(&anna.page(&request).await);
        let (_device, _) = Device::enter(broker.addr, PHONE, &code).await;
        let device = operator.get(&format!("/domains/{DOMAIN}/devices/{PHONE}")).await;
        assert_eq!(device["category"]["name"], "Meeting rooms");
    });
}

async fn a_phone_is_added(broker: &Broker) {
    let mut anna = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
    assert!(anna.page("/ui/phones").await.contains("You have no phone yet."));
    let form = anna.page("/ui/phones/add").await;
    assert!(!form.contains("<select"), "one category and one app are no choice: {form}");
    let request = leads_to(&anna.submit("/ui/phones/add", "/ui/phones/add", &[]).await);
    let body = anna.page(&request).await;
    let code = code_of(&body);
    assert!(
        body.contains("data-left=") && body.contains("<svg class=\"qr\"") && body.contains("Waiting for the phone")
    );
    let (_device, _) = Device::enter(broker.addr, PHONE, &code).await;
    until("the phone is ready", async || {
        let body = anna.page(&request).await;
        body.contains("<li class=\"done\">Ready") && body.contains(PHONE) && body.contains(">entered<")
    })
    .await;
    assert!(!anna.page(&request).await.contains("class=\"digits\""), "a code that is used is not shown");
    let body = anna.page("/ui/phones").await;
    assert!(body.contains(PHONE) && body.contains(">online<") && body.contains("IP112"), "{body}");

    // At most ten may be open; a cancelled one does not count.
    let mut last = String::new();
    for _ in 0..10 {
        last = leads_to(&anna.submit("/ui/phones/add", "/ui/phones/add", &[("category", CATEGORY)]).await);
        code_of(&anna.page(&last).await);
    }
    let answer = anna.submit("/ui/phones/add", "/ui/phones/add", &[]).await;
    assert!(answer.status == 409 && answer.body.contains("10 codes"), "{}", answer.body);
    assert_eq!(leads_to(&anna.submit(&last, &format!("{last}/cancel"), &[]).await), last);
    let body = anna.page(&last).await;
    assert!(body.contains("Cancelled") && !body.contains("class=\"digits\"") && body.contains("Get a new code"));
    leads_to(&anna.submit("/ui/phones/add", "/ui/phones/add", &[]).await);
    let answer = anna.submit("/ui/phones/add", "/ui/phones/add", &[("category", "nowhere")]).await;
    assert!(matches!(answer.status, 404 | 409), "{}", answer.status);
    let mut nobody = Browser::signed_in(broker.addr, "nobody", PASSWORD).await;
    let answer = nobody.get("/ui/phones").await;
    assert!(answer.status == 404 && answer.body.contains("You are not in the list of users"), "{}", answer.body);
}

#[test]
fn a_person_adds_a_phone_embedded() {
    with_users(&Keep::embedded(), a_phone_is_added);
}

#[test]
fn a_person_adds_a_phone_redis() {
    with_users(&Keep::redis(), a_phone_is_added);
}

const CHOOSE: &str = "/ui/rollouts/new/users";

/// The fields of the third step.
fn chosen<'a>(what: &'a str, list: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("category", CATEGORY), ("app", "phone"), ("name", "<b>Floor</b> 2"), ("list", list), ("do", what)]
}

/// Makes a roll-out for these users and waits for all codes. Returns its address.
async fn rolled_out(browser: &mut Browser, list: &str) -> String {
    let address = leads_to(&browser.submit(CHOOSE, CHOOSE, &chosen("begin", list)).await);
    until("all codes are made", async || {
        let body = browser.page(&address).await;
        !body.contains("made so far") && !body.contains("Code is being made")
    })
    .await;
    address
}

async fn phones_are_rolled_out(broker: &Broker) {
    let mut admin = Browser::signed_in(broker.addr, "admin", PASSWORD).await;
    assert!(admin.page("/ui/rollouts/new").await.contains("Everything is there."));
    assert!(admin.page("/ui/rollouts/new/phones").await.contains(CATEGORY));
    // Unknown users in the list are found before any code is made.
    for (list, said) in [("", "The list is empty"), ("anna\nbenno\nowen", "benno, owen"), ("otto", "otto")] {
        let answer = admin.submit(CHOOSE, CHOOSE, &chosen("begin", list)).await;
        assert!(answer.status == 422 && answer.body.contains(said), "{list}: {}", answer.body);
    }
    let gone = [("category", "Nowhere"), ("app", "phone"), ("name", "x"), ("list", "anna"), ("do", "begin")];
    assert_eq!(admin.submit(CHOOSE, CHOOSE, &gone).await.status, 422);
    assert!(admin.page("/ui/rollouts").await.contains("There are no registrations yet."));

    let ticked = [chosen("ticked", "anna"), vec![("tick", "cara"), ("tick", "anna")]].concat();
    let body = admin.submit(CHOOSE, CHOOSE, &ticked).await.body;
    assert!(body.contains("anna\ncara</textarea>") && body.contains("Users on the list: 2"), "{body}");
    let fitting = [chosen("fitting", "anna"), vec![("group", "Lab")]].concat();
    let body = admin.submit(CHOOSE, CHOOSE, &fitting).await.body;
    assert!(body.contains("Matching users: 2") && body.contains("Users on the list: 3"), "{body}");
    let answer = admin.submit_file(CHOOSE, CHOOSE, &chosen("file", ""), b"Name;SIP\r\nBenj\xe4min;ben\r\n").await;
    assert!(answer.status == 200 && answer.body.contains("\nben</textarea>"), "{}", answer.body);

    let address = rolled_out(&mut admin, "201\nBen Kraft\ncara").await;
    let body = admin.page(&address).await;
    assert_eq!(body.matches(">Pending</span>").count(), 3, "{body}");
    assert!(body.contains("&#60;b&#62;Floor") && body.contains("7 days from the day of issue"));
    let code = code_of(&body);

    let (_device, _) = Device::enter(broker.addr, PHONE, &code).await;
    until("the first row is registered", async || {
        let body = admin.page(&format!("{address}?state=registered")).await;
        body.contains("Anna Berg") && body.contains(PHONE)
    })
    .await;
    let pending = admin.page(&format!("{address}?state=pending&search=KRAFT")).await;
    assert!(pending.contains("Ben Kraft") && !pending.contains("Anna Berg") && !pending.contains("=1+1"));
    let act = async |admin: &mut Browser, what: &str, row: &str| {
        let answer = admin.submit(&address, &format!("{address}/{what}"), &[("row", row)]).await;
        (answer.status, answer.field("location") == Some(&*address))
    };
    assert_eq!(act(&mut admin, "cancel", "1").await, (303, true));
    assert!(admin.page(&format!("{address}?state=ended")).await.contains("Ben Kraft"));
    assert_eq!(act(&mut admin, "reissue", "1").await, (303, true));
    assert!(admin.page(&format!("{address}?state=pending")).await.contains("Ben Kraft"));
    assert_eq!(act(&mut admin, "reissue", "0").await.0, 409, "a phone has used that code");
    assert_eq!((act(&mut admin, "cancel", "7").await.0, act(&mut admin, "cancel", "x").await.0), (404, 400));
    let elsewhere = [("row", "1"), ("to", "https://evil.example/")];
    let answer = admin.submit(&address, &format!("{address}/cancel"), &elsewhere).await;
    assert_eq!(leads_to(&answer), address);

    let csv = admin.get(&format!("{address}/codes.csv")).await;
    assert!(csv.field("content-type").unwrap().starts_with("text/csv"), "{}", csv.head);
    // It arrives in chunks, with their lengths in between.
    let lines: Vec<&str> = csv.body.lines().skip_while(|line| !line.starts_with("sip,")).collect();
    assert_eq!(lines[0], "sip,name,code,state,valid until,device");
    assert!(lines[1].starts_with("anna,Anna Berg,,Registered,,0090334100e1"), "{}", lines[1]);
    assert!(lines[3].starts_with("cara,'=1+1,"), "{}", lines[3]);
    secrets::note(&lines[3].split(',').nth(2).unwrap().replace(' ', ""));
    let cards = admin.page(&format!("{address}/cards")).await;
    assert_eq!((cards.matches("<svg class=\"qr\"").count(), cards.contains("=1+1")), (1, true));
    assert_eq!(leads_to(&admin.submit(&address, &format!("{address}/remove"), &[]).await), "/ui/rollouts?done=1");
    assert_eq!(admin.get(&address).await.status, 404);
}

#[test]
fn phones_are_rolled_out_embedded() {
    with_users(&Keep::embedded(), phones_are_rolled_out);
}

#[test]
fn phones_are_rolled_out_redis() {
    with_users(&Keep::redis(), phones_are_rolled_out);
}

/// The addresses in the sources of these pages.
fn routes_in(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/pages").join(folder);
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for begin in [".route(\"", "resource(\""] {
            found.extend(text.split(begin).skip(1).map(|rest| rest.split('"').next().unwrap().replace("\\\\", "\\")));
        }
    }
    found
}

/// Everybody else tries every address of these pages with the data of Anna and of her administrator: none succeeds,
/// and no answer contains any of it.
#[test]
fn a_page_shows_no_data_of_others() {
    let tried: BTreeSet<String> =
        READ.iter().chain(&READ_WITHOUT_DATA).chain(&CHANGES).map(|route| (*route).to_owned()).collect();
    let all: BTreeSet<String> = ["profile", "rollout"].into_iter().flat_map(routes_in).collect();
    assert_eq!(tried, all, "every route of these pages is tried");
    with_users(&Keep::embedded(), async |broker| {
        let mut anna = Browser::signed_in(broker.addr, "anna", PASSWORD).await;
        let mut admin = Browser::signed_in(broker.addr, "admin", PASSWORD).await;
        let request = leads_to(&anna.submit("/ui/phones/add", "/ui/phones/add", &[]).await);
        let used = leads_to(&anna.submit("/ui/phones/add", "/ui/phones/add", &[]).await);
        let (open, code) = (code_of(&anna.page(&request).await), code_of(&anna.page(&used).await));
        let (_device, _) = Device::enter(broker.addr, PHONE, &code).await;
        until("it is Anna's", async || anna.page("/ui/phones").await.contains(PHONE)).await;
        let rollout = rolled_out(&mut admin, "anna").await;
        let rolled = code_of(&admin.page(&rollout).await);
        let grouped = |code: &str| format!("{} {} {}", &code[..4], &code[4..8], &code[8..]);
        let theirs = [grouped(&open), grouped(&rolled), open, rolled, PHONE.into(), "Anna Berg".into(), "Floor".into()];
        let at = |route: &str| {
            let request = route.replace("/phones/{id}", request.strip_prefix("/ui").unwrap());
            format!("/ui{}", request.replace("/rollouts/{id:\\d+}", rollout.strip_prefix("/ui").unwrap()))
        };
        for name in ["ben", "otto", "clerk", "stranger", "operator", "root", "admin", "anna", ""] {
            let mut browser = Browser::new(broker.addr);
            if !name.is_empty() {
                browser = Browser::signed_in(broker.addr, name, PASSWORD).await;
            }
            let token = browser.token(if name.is_empty() { "/ui/sign-in" } else { "/ui/account" }).await;
            let is_owner = |route: &str| match name {
                "anna" => route.starts_with("/phones"),
                "admin" => route.starts_with("/rollouts"),
                _ => false,
            };
            let streams = |route: &str| route.ends_with("/events");
            for route in READ.into_iter().filter(|route| !is_owner(route)) {
                let own_list = match name {
                    "ben" | "otto" => matches!(route, "/phones" | "/phones/add"),
                    "clerk" => matches!(route, "/rollouts" | "/rollouts/new/phones" | "/rollouts/new/users"),
                    _ => false,
                };
                // A person's own event stream does not end; it only reports that something has changed.
                if streams(route) && matches!((name, route), ("ben" | "otto", "/phones/events")) {
                    continue;
                }
                let answer = browser.get(&at(route)).await;
                let expected = if own_list { answer.status == 200 } else { matches!(answer.status, 303 | 403 | 404) };
                assert!(expected, "{name} {route}: {}", answer.status);
                for what in &theirs {
                    assert!(!answer.body.contains(&**what), "{name} {route} shows {what}");
                }
            }
            for route in CHANGES.into_iter().filter(|route| !is_owner(route)) {
                let makes_own =
                    matches!((name, route), ("ben" | "otto", "/phones/add") | ("clerk", "/rollouts/new/users"));
                if makes_own {
                    continue;
                }
                let fields = [&[("token", &*token), ("row", "0")][..], &chosen("begin", "anna")].concat();
                let answer = browser.post(&at(route), &fields).await;
                assert!(matches!(answer.status, 401 | 403 | 404), "{name} {route}: {}", answer.status);
            }
        }
        // None of that has changed anything.
        assert!(anna.page(&request).await.contains(&grouped(&theirs[2])));
        assert!(admin.page(&rollout).await.contains(&grouped(&theirs[3])));
        // A user of another domain is unknown here, also in the list of the third step.
        let mut clerk = Browser::signed_in(broker.addr, "clerk", PASSWORD).await;
        let body = clerk.page(CHOOSE).await;
        assert!(body.contains("Otto Fremd") && !body.contains("Ben Kraft"));
        let answer = clerk.submit(CHOOSE, CHOOSE, &chosen("begin", "anna")).await;
        assert_eq!(answer.status, 422);
    });
}

/// A long list is accepted by the third step, and by no other form.
#[test]
fn a_long_list_is_accepted_by_the_third_step_only() {
    with_users(&Keep::embedded(), async |broker| {
        let mut admin = Browser::signed_in(broker.addr, "admin", PASSWORD).await;
        let list = (0..60_000).map(|number| format!("user-{number}")).collect::<Vec<_>>().join("\n");
        let answer = admin.submit(CHOOSE, CHOOSE, &chosen("begin", &list)).await;
        assert!(answer.status == 422 && answer.body.contains("60000 lines of the list"), "{}", answer.status);
        let answer = admin.submit("/ui/account", "/ui/account/password", &[("old", &list)]).await;
        assert_eq!(answer.status, 413);
    });
}

#[test]
fn without_the_users_role_the_pages_say_so() {
    with_broker(&Keep::embedded(), accounts, async |broker| {
        for (name, target) in [("anna", "/ui/phones"), ("admin", "/ui/rollouts")] {
            let mut browser = Browser::signed_in(broker.addr, name, PASSWORD).await;
            let answer = browser.get(target).await;
            assert!(
                answer.status == 404 && answer.body.contains("This server does not manage phones"),
                "{}",
                answer.body
            );
        }
    });
}
