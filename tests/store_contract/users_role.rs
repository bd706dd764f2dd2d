//! The Users role: phone requests, the entry orders that follow from them, roll-outs, turns.

use std::time::Duration;

use provbroker::core::model::ids::{DomainName, RolloutId};
use provbroker::core::model::time::UnixMillis;
use provbroker::core::model::users_role::{
    Attempt, EntryOrder, EntryState, Person, PersonId, PhoneFacts, PhoneRequest, Progress, RequestId, Trouble,
};
use provbroker::store::{Placed, PutRequest, Store};

use crate::fixture::*;
use crate::redis_server::RedisServer;

const LEASE: Duration = Duration::from_secs(120);

pub fn person(name: &str) -> Person {
    Person {
        guid: PersonId::parse(&format!("guid-of-{name}")).unwrap(),
        sip: name.into(),
        name: format!("{name} Ä {{x}}").into(),
        groups: Vec::new(),
        number: None,
    }
}

fn id(number: u64) -> RequestId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    RequestId::new(bytes)
}

pub async fn phone_request(store: &dyn Store, number: u64, name: &str, rollout: Option<RolloutId>) -> PhoneRequest {
    let now = store.now().await.unwrap();
    let person = person(name);
    PhoneRequest {
        id: id(number),
        domain: domain(),
        person: person.guid,
        sip: person.sip,
        name: person.name,
        category: "Desk phones".into(),
        app: "phone".into(),
        code: code(number),
        asked: UnixMillis(now.0 + number),
        valid_until: now + VALID,
        rollout,
        progress: Progress::Waiting,
        entry: EntryState::None,
        phone: None,
    }
}

async fn ask(store: &dyn Store, number: u64, name: &str) -> PhoneRequest {
    let request = phone_request(store, number, name, None).await;
    store.put_requests(&domain(), std::slice::from_ref(&request)).await.unwrap();
    request
}

pub fn phone(number: u64) -> PhoneFacts {
    PhoneFacts { key: device(number), name: None, product: "IP112".into(), version: "13r3".into(), port: None }
}

async fn place(store: &dyn Store, number: u64) -> Placed {
    store.place_order(&domain(), code(number), &phone(number), Progress::Ready).await.unwrap()
}

async fn take(store: &dyn Store, limit: usize) -> Vec<EntryOrder> {
    store.take_orders(&domain(), LEASE, limit).await.unwrap()
}

async fn read(store: &dyn Store, number: u64) -> Option<PhoneRequest> {
    store.phone_request(&domain(), &id(number)).await.unwrap()
}

/// Used requests are kept, whatever the time.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

pub async fn a_request_is_kept_and_found(f: impl Fixture) {
    let store = &**f.store();
    let anna = person("anna").guid;
    assert!(store.requests_of(&domain(), &anna).await.unwrap().is_empty());
    let first = ask(store, 1, "anna").await;
    let second = ask(store, 2, "anna").await;
    let other = ask(store, 3, "otto").await;
    // Again, with another end: what is there stays.
    let later = PhoneRequest { valid_until: first.valid_until + DAY, ..first.clone() };
    store.put_requests(&domain(), &[later]).await.unwrap();
    assert_eq!(read(store, 1).await.as_ref(), Some(&first));
    assert_eq!(store.requests_of(&domain(), &anna).await.unwrap(), [second.clone(), first.clone()]);
    assert_eq!(store.request_with_code(&domain(), code(3)).await.unwrap(), Some(other));
    assert_eq!(store.request_with_code(&domain(), code(4)).await.unwrap(), None);
    assert_eq!(store.phone_request(&other_domain(), &id(1)).await.unwrap(), None);
    assert_eq!(store.request_with_code(&other_domain(), code(1)).await.unwrap(), None);
    let listed = store.codes_without_phone(&domain(), UnixMillis(0), 10).await.unwrap();
    assert!(listed.is_sorted_by_key(|(ends, _)| *ends));
    let mut open = listed.clone();
    open.sort();
    assert_eq!(open.iter().map(|(_, code)| *code).collect::<Vec<_>>(), [code(1), code(2), code(3)]);
    let from = open[1].0;
    assert_eq!(
        store.codes_without_phone(&domain(), UnixMillis(from.0 + 1), 1).await.unwrap().len(),
        usize::from(open[2].0 > from)
    );
    assert_eq!(store.codes_without_phone(&domain(), UnixMillis(0), 2).await.unwrap(), listed[..2]);
}

pub async fn a_request_gets_further_from_where_it_is(f: impl Fixture) {
    let store = &**f.store();
    let request = ask(store, 1, "anna").await;
    assert!(store.advance_request(&request, Progress::Waiting, Progress::Found).await.unwrap());
    assert!(!store.advance_request(&request, Progress::Waiting, Progress::Cancelled).await.unwrap());
    let other = Progress::Failed(Trouble::OtherDomain);
    assert!(store.advance_request(&request, Progress::Found, other).await.unwrap());
    assert_eq!(read(store, 1).await.unwrap().progress, other);
    assert_eq!(store.codes_without_phone(&domain(), UnixMillis(0), 10).await.unwrap().len(), 1);
    assert!(store.advance_request(&request, other, Progress::Cancelled).await.unwrap());
    assert!(store.codes_without_phone(&domain(), UnixMillis(0), 10).await.unwrap().is_empty());
    // For a day its person can read what has become of it.
    f.advance(nearly(DAY)).await;
    assert_eq!(read(store, 1).await.unwrap().progress, Progress::Cancelled);
    f.advance(MINUTE).await;
    assert_eq!(read(store, 1).await, None);
    assert!(!store.advance_request(&request, Progress::Cancelled, Progress::Waiting).await.unwrap());
    assert!(store.requests_of(&domain(), &request.person).await.unwrap().is_empty());
}

pub async fn a_request_waits_as_long_as_its_notice_may_come(f: impl Fixture) {
    let store = &**f.store();
    ask(store, 1, "anna").await;
    f.advance(VALID + nearly(30 * DAY)).await;
    assert!(matches!(place(store, 1).await, Placed::New(_)));
    ask(store, 2, "anna").await;
    f.advance(VALID + 30 * DAY).await;
    assert_eq!(place(store, 2).await, Placed::Unknown);
    assert!(read(store, 1).await.is_some() && read(store, 2).await.is_none());
}

pub async fn a_request_with_a_phone_stays(f: impl Fixture) {
    let store = &**f.store();
    let request = ask(store, 1, "anna").await;
    place(store, 1).await;
    let later = ask(store, 2, "anna").await;
    f.advance(YEAR).await;
    let found = store.requests_of(&domain(), &request.person).await.unwrap();
    assert_eq!(found.iter().map(|r| &r.id).collect::<Vec<_>>(), [&request.id]);
    assert_eq!(found[0].phone, Some(phone(1)));
    assert!(read(store, 2).await.is_none());
    assert!(store.forget_request(&request).await.unwrap() && !store.forget_request(&later).await.unwrap());
    assert!(store.requests_of(&domain(), &request.person).await.unwrap().is_empty());
    assert_eq!(store.order_counts(&domain()).await.unwrap().waiting, 0);
}

pub async fn an_order_is_placed_once(f: impl Fixture) {
    let store = &**f.store();
    let request = ask(store, 1, "anna").await;
    assert_eq!(place(store, 2).await, Placed::Unknown, "a code of somebody else");
    let early = store.place_order(&domain(), code(1), &phone(1), Progress::Entered).await.unwrap();
    let Placed::New(placed) = early else { panic!("{early:?}") };
    assert_eq!(
        *placed,
        PhoneRequest {
            progress: Progress::Entered,
            entry: EntryState::Waiting,
            phone: Some(phone(1)),
            ..request.clone()
        }
    );
    assert!(store.codes_without_phone(&domain(), UnixMillis(0), 10).await.unwrap().is_empty());
    let Placed::Again(Some(ready)) = place(store, 1).await else { panic!("told again") };
    assert_eq!(ready.progress, Progress::Ready);
    assert_eq!(place(store, 1).await, Placed::Again(None));
    let early = store.place_order(&domain(), code(1), &phone(1), Progress::Entered).await.unwrap();
    assert_eq!(early, Placed::Again(None), "nothing is more than ready");
    let orders = take(store, 10).await;
    assert_eq!(orders.len(), 1);
    let EntryOrder { id: of, person, sip, app, phone: facts, attempts, .. } = &orders[0];
    assert_eq!((of, person, &**sip, &**app, *attempts), (&id(1), &request.person, "anna", "phone", 0));
    assert_eq!(*facts, phone(1));
    assert!(take(store, 10).await.is_empty(), "taken");
}

pub async fn of_many_notices_at_once_exactly_one_places_the_order(f: impl Fixture) {
    let store = &**f.store();
    ask(store, 1, "anna").await;
    let placed = futures_util::future::join_all((0..20).map(|_| place(store, 1))).await;
    assert_eq!(placed.iter().filter(|placed| matches!(placed, Placed::New(_))).count(), 1);
    assert_eq!(store.order_counts(&domain()).await.unwrap().waiting, 1);
}

pub async fn an_order_is_due_again_until_it_is_settled(f: impl Fixture) {
    let store = &**f.store();
    for number in 1..=3 {
        ask(store, number, "anna").await;
        place(store, number).await;
    }
    let two = take(store, 2).await;
    assert_eq!((two.len(), take(store, 2).await.len(), take(store, 2).await.len()), (2, 1, 0));
    // Whoever had them is gone.
    f.advance(LEASE).await;
    let three = take(store, 9).await;
    assert_eq!(three.len(), 3);
    let first = store.settle_order(&three[0], &Attempt::Done, "").await.unwrap().unwrap();
    assert_eq!(first.entry, EntryState::Done);
    store.settle_order(&three[1], &Attempt::Again(MINUTE), "no answer").await.unwrap();
    let counts = store.order_counts(&domain()).await.unwrap();
    assert_eq!((counts.waiting, counts.failed), (2, 0));
    f.advance(MINUTE).await;
    let again = take(store, 9).await;
    assert_eq!(again.iter().map(|order| (&order.id, order.attempts)).collect::<Vec<_>>(), [(&three[1].id, 1)]);
    let done = read(store, 1).await.unwrap();
    assert_eq!(place(store, 1).await, Placed::Again(None), "done stays done");
    assert_eq!(read(store, 1).await, Some(done));
}

pub async fn an_order_that_has_failed_can_be_revived(f: impl Fixture) {
    let store = &**f.store();
    for number in 1..=2 {
        ask(store, number, "anna").await;
        place(store, number).await;
    }
    let orders = take(store, 9).await;
    let failed = store.settle_order(&orders[0], &Attempt::Never(Trouble::UserGone), "no such user").await.unwrap();
    assert_eq!(failed.unwrap().entry, EntryState::Failed(Trouble::UserGone));
    let counts = store.order_counts(&domain()).await.unwrap();
    assert_eq!((counts.waiting, counts.failed), (1, 1));
    let dead = store.failed_orders(&domain(), 0, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0].order.id, dead[0].trouble, &*dead[0].why), (&orders[0].id, Trouble::UserGone, "no such user"));
    assert!(store.failed_orders(&domain(), 1, 10).await.unwrap().is_empty());
    assert!(!store.retry_order(&domain(), &orders[1].id).await.unwrap(), "it has not failed");
    assert!(store.retry_order(&domain(), &orders[0].id).await.unwrap());
    assert!(!store.retry_order(&domain(), &orders[0].id).await.unwrap());
    let again = take(store, 9).await;
    assert_eq!(again.iter().map(|order| (&order.id, order.attempts)).collect::<Vec<_>>(), [(&orders[0].id, 0)]);
    assert!(store.failed_orders(&domain(), 0, 10).await.unwrap().is_empty());
    // Forgotten while it was under way.
    let request = store.phone_request(&domain(), &orders[0].id).await.unwrap().unwrap();
    assert!(store.forget_request(&request).await.unwrap());
    assert_eq!(store.settle_order(&again[0], &Attempt::Done, "").await.unwrap(), None);
    assert_eq!(store.order_counts(&domain()).await.unwrap().waiting, 1);
}

pub async fn a_rollout_of_people_is_made_and_followed(f: impl Fixture) {
    let store = &**f.store();
    let rollout = store.begin_users_role_rollout(&domain(), "New building", "Desk phones", "phone", 3).await.unwrap();
    let people: Vec<Person> = ["anna", "otto", "eva"].map(person).into();
    assert!(store.add_users_role_rollout_rows(&domain(), rollout.id, 0, &people[..2]).await.unwrap());
    // Repeated after a time-out: those that are there stay.
    assert!(store.add_users_role_rollout_rows(&domain(), rollout.id, 0, &people).await.unwrap());
    assert!(!store.add_users_role_rollout_rows(&domain(), RolloutId(99), 0, &people).await.unwrap());
    for number in 1..=4 {
        let request = phone_request(store, number, "anna", Some(rollout.id)).await;
        store.put_requests(&domain(), &[request]).await.unwrap();
    }
    let give = async |row, before: Option<u64>, new| {
        store.set_row_request(&domain(), rollout.id, row, before.map(id).as_ref(), &id(new)).await.unwrap()
    };
    assert!(give(0, None, 1).await && give(1, None, 2).await);
    assert!(give(0, None, 1).await, "repeated");
    assert!(!give(0, None, 3).await, "it has one");
    assert!(give(0, Some(1), 3).await, "reissued");
    assert!(!give(7, None, 4).await);
    place(store, 3).await;
    place(store, 3).await;
    let all = store.users_role_rollouts(&domain()).await.unwrap();
    assert_eq!(all.len(), 1);
    let now = &all[0];
    assert_eq!((now.users, now.rows, now.made, now.registered), (3, 3, 2, 1));
    assert_eq!((&*now.name, &*now.category, &*now.app), ("New building", "Desk phones", "phone"));
    let rows = store.users_role_rollout_rows(&domain(), rollout.id, 0, 10).await.unwrap().unwrap();
    let seen: Vec<_> = rows.iter().map(|row| (row.number, row.name.clone(), row.id.clone())).collect();
    let name = |at: usize| people[at].name.clone();
    assert_eq!(seen, [(0, name(0), Some(id(3))), (1, name(1), Some(id(2))), (2, name(2), None)]);
    assert_eq!(rows[0].request.as_ref().unwrap().phone, Some(phone(3)));
    assert_eq!(store.users_role_rollout_rows(&domain(), rollout.id, 1, 1).await.unwrap().unwrap(), rows[1..2]);
    assert_eq!(store.users_role_rollout_rows(&domain(), rollout.id, 5, 1).await.unwrap(), Some(Vec::new()));
    assert_eq!(store.users_role_rollout_rows(&other_domain(), rollout.id, 0, 1).await.unwrap(), None);
    // One that is cancelled is shown with its roll-out.
    let second = rows[1].request.clone().unwrap();
    assert!(store.advance_request(&second, Progress::Waiting, Progress::Cancelled).await.unwrap());
    f.advance(nearly(30 * DAY)).await;
    let rows = store.users_role_rollout_rows(&domain(), rollout.id, 1, 1).await.unwrap().unwrap();
    assert_eq!(rows[0].request.as_ref().unwrap().progress, Progress::Cancelled);
    assert!(store.remove_users_role_rollout(&domain(), rollout.id).await.unwrap());
    assert!(!store.remove_users_role_rollout(&domain(), rollout.id).await.unwrap());
    assert!(store.users_role_rollouts(&domain()).await.unwrap().is_empty());
    assert!(read(store, 3).await.is_some());
}

pub async fn a_rollout_of_people_ends(f: impl Fixture) {
    let store = &**f.store();
    let first = store.begin_users_role_rollout(&domain(), "a", "c", "p", 1).await.unwrap();
    store.add_users_role_rollout_rows(&domain(), first.id, 0, &[person("anna")]).await.unwrap();
    f.advance(DAY).await;
    let second = store.begin_users_role_rollout(&domain(), "b", "c", "p", 1).await.unwrap();
    assert!(second.id > first.id);
    let ids = async || store.users_role_rollouts(&domain()).await.unwrap().iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(ids().await, [second.id, first.id]);
    f.advance(29 * DAY).await;
    assert_eq!(ids().await, [second.id]);
    assert_eq!(store.users_role_rollout_rows(&domain(), first.id, 0, 1).await.unwrap(), None);
}

pub async fn of_two_nodes_one_has_the_turn(f: impl Fixture) {
    let store = &**f.store();
    let turn =
        async |domain: &DomainName, what, name| store.take_turn(domain, what, &node(name), MINUTE).await.unwrap();
    assert!(turn(&domain(), "open codes", "n1").await && turn(&domain(), "open codes", "n1").await);
    assert!(!turn(&domain(), "open codes", "n2").await);
    assert!(turn(&domain(), "other", "n2").await && turn(&other_domain(), "open codes", "n2").await);
    store.end_turn(&domain(), "open codes", &node("n2")).await.unwrap();
    assert!(!turn(&domain(), "open codes", "n2").await, "it was not his to end");
    store.end_turn(&domain(), "open codes", &node("n1")).await.unwrap();
    assert!(turn(&domain(), "open codes", "n2").await);
    f.advance(MINUTE).await;
    assert!(turn(&domain(), "open codes", "n1").await);
}

pub async fn a_phone_has_one_request(f: impl Fixture) {
    let store = &**f.store();
    let first = ask(store, 1, "anna").await;
    ask(store, 2, "otto").await;
    place(store, 1).await;
    let taken = take(store, 9).await;
    let placed = store.place_order(&domain(), code(2), &phone(1), Progress::Ready).await.unwrap();
    assert!(matches!(placed, Placed::New(_)));
    assert!(read(store, 1).await.is_none() && store.requests_of(&domain(), &first.person).await.unwrap().is_empty());
    // An order that was under way for it ends with it.
    assert_eq!(store.settle_order(&taken[0], &Attempt::Again(MINUTE), "").await.unwrap(), None);
    assert_eq!(take(store, 9).await.iter().map(|order| order.id.clone()).collect::<Vec<_>>(), [id(2)]);
    // Another port of the same gateway is another phone.
    ask(store, 3, "eva").await;
    let port = PhoneFacts { port: Some("TEL1".into()), ..phone(1) };
    store.place_order(&domain(), code(3), &port, Progress::Ready).await.unwrap();
    assert!(read(store, 2).await.is_some() && read(store, 3).await.is_some());
}

pub async fn a_person_has_only_so_many_open_codes(f: impl Fixture) {
    let store = &**f.store();
    let mut requests = Vec::new();
    for number in 1..=40 {
        requests.push(phone_request(store, number, "anna", None).await);
    }
    let put = async |wish: &PhoneRequest| store.put_request(wish, 10).await.unwrap();
    let all = futures_util::future::join_all(requests.iter().map(&put)).await;
    let (kept, refused): (Vec<_>, Vec<_>) = requests.iter().zip(all).partition(|(_, put)| *put == PutRequest::Kept);
    let found = store.requests_of(&domain(), &requests[0].person).await.unwrap();
    assert!(found.len() == 10 && found.iter().all(|request| kept.iter().any(|(wish, _)| wish.id == request.id)));
    assert_eq!((kept.len(), refused.len()), (10, 30));
    assert_eq!(store.codes_without_phone(&domain(), UnixMillis(0), 99).await.unwrap().len(), 10);
    assert_eq!(put(kept[0].0).await, PutRequest::Kept, "repeated");
    assert_eq!(put(&phone_request(store, 50, "otto", None).await).await, PutRequest::Kept, "somebody else");
    assert_eq!(store.request_with_code(&domain(), refused[0].0.code).await.unwrap(), None);

    // Whatever ends one makes room for one.
    let mut next = refused.iter().map(|(wish, _)| *wish);
    let mut room_for_one = async |how: &str| {
        assert_eq!(put(next.next().unwrap()).await, PutRequest::Kept, "{how}");
        assert_eq!(put(next.next().unwrap()).await, PutRequest::TooMany, "{how}");
    };
    assert!(store.advance_request(kept[0].0, Progress::Waiting, Progress::Cancelled).await.unwrap());
    room_for_one("cancelled").await;
    let placed = store.place_order(&domain(), kept[1].0.code, &phone(1), Progress::Ready).await.unwrap();
    assert!(matches!(placed, Placed::New(_)));
    room_for_one("used").await;
    assert!(store.forget_request(kept[2].0).await.unwrap());
    room_for_one("forgotten").await;
    // Those of a roll-out count, and are kept in any case.
    store.put_requests(&domain(), &[phone_request(store, 60, "anna", Some(RolloutId(1))).await]).await.unwrap();
    assert!(store.advance_request(kept[3].0, Progress::Waiting, Progress::Cancelled).await.unwrap());
    assert_eq!(put(&phone_request(store, 61, "anna", None).await).await, PutRequest::TooMany);
    f.advance(VALID).await;
    assert_eq!(put(&phone_request(store, 62, "anna", None).await).await, PutRequest::Kept, "their time is over");
}

async fn survive(mut f: impl Fixture) {
    let store = f.store().clone();
    for number in 1..=2 {
        ask(&*store, number, "anna").await;
    }
    place(&*store, 1).await;
    let anna = person("anna").guid;
    let before = store.requests_of(&domain(), &anna).await.unwrap();
    assert_eq!(before.len(), 2);
    drop(store);
    f.restart().await;
    let store = &**f.store();
    assert_eq!(store.requests_of(&domain(), &anna).await.unwrap(), before);
    assert_eq!(take(store, 9).await.len(), 1);
    assert!(matches!(place(store, 2).await, Placed::New(_)));
}

#[tokio::test]
async fn requests_and_orders_survive_on_file() {
    survive(OnFile::start().await).await;
}

#[tokio::test]
async fn requests_and_orders_survive_on_redis() {
    survive(OnRedis::with(RedisServer::durable()).await).await;
}
