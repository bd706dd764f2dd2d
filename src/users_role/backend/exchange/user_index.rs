//! The users of an exchange sorted by name, for pages. Sorted again only when the mirror has changed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{BackendError, Person, PersonId, UserPage, UserQuery};
use crate::clock;
use crate::core::model::time::Tick;
use crate::core::session::exchange::mirror::{Mirror, Row, State};
use crate::users_role::backend::exchange::handle::ExchangeHandle;

/// A mirror that changes continuously, as during a pass, is sorted at most this often.
const SORTED_FOR: Duration = Duration::from_secs(2);

/// Users with their sort keys.
pub(super) type Users = Arc<Vec<(Box<str>, Person)>>;

#[derive(Debug)]
struct Sorted {
    version: u64,
    at: Tick,
    users: Users,
}

/// The sorted users of one exchange; `None` until they are first asked for.
#[derive(Debug, Default)]
pub(super) struct UserIndex(Mutex<Option<Sorted>>);

impl UserIndex {
    pub(super) fn users(&self, handle: &ExchangeHandle) -> Result<Users, BackendError> {
        let mut sorted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        let client = handle.client();
        let mirror = client.mirror();
        known(mirror)?;
        if let Some(sorted) = &*sorted
            && (sorted.version == mirror.version() || now.since(sorted.at) < SORTED_FOR)
        {
            return Ok(Arc::clone(&sorted.users));
        }
        let mut users: Vec<_> = mirror.rows().filter_map(person).map(|person| (key(&person), person)).collect();
        let version = mirror.version();
        drop(client);
        users.sort_by(|(a, _), (b, _)| a.cmp(b));
        let users = Arc::new(users);
        *sorted = Some(Sorted { version, at: now, users: Arc::clone(&users) });
        Ok(users)
    }
}

/// Looks one user up in the mirror.
pub(super) fn one(
    handle: &ExchangeHandle,
    find: impl for<'m> FnOnce(&'m Mirror) -> Option<&'m Row>,
) -> Result<Option<Person>, BackendError> {
    let client = handle.client();
    known(client.mirror())?;
    Ok(find(client.mirror()).and_then(person))
}

fn known(mirror: &Mirror) -> Result<(), BackendError> {
    match mirror.state() {
        State::Empty => Err(BackendError::later("the list of users has not been read yet")),
        State::Stale | State::Complete => Ok(()),
    }
}

/// At an exchange, template and node are the groups of a user.
fn person(row: &Row) -> Option<Person> {
    let name = [&row.display, &row.name, &row.sip].into_iter().find(|name| !name.is_empty())?;
    Some(Person {
        guid: PersonId::parse(row.guid.as_str()).ok()?,
        sip: row.sip.clone(),
        name: name.clone(),
        groups: [&row.template, &row.node]
            .into_iter()
            .filter(|name| !matches!(&***name, "" | "root"))
            .cloned()
            .collect(),
        number: Some(row.number.clone()).filter(|number| !number.is_empty()),
    })
}

fn key(person: &Person) -> Box<str> {
    format!("{}\n{}", person.name.to_lowercase(), person.guid).into()
}

/// One page. The cursor is the sort key of the last user of the page before.
pub(super) fn page(users: &[(Box<str>, Person)], query: &UserQuery) -> UserPage {
    let begin = query.after.as_ref().map_or(0, |after| users.partition_point(|(key, _)| key <= after));
    let mut page = users[begin..].iter().filter(|(_, person)| query.wants(person)).take(query.limit + 1);
    let wanted: Vec<&(Box<str>, Person)> = page.by_ref().collect();
    let next =
        wanted.get(query.limit).and_then(|_| wanted.get(query.limit.checked_sub(1)?)).map(|(key, _)| key.clone());
    let groups: BTreeSet<&Box<str>> = users.iter().flat_map(|(_, person)| &person.groups).collect();
    UserPage {
        users: wanted.iter().take(query.limit).map(|(_, person)| person.clone()).collect(),
        next,
        total: Some(users.iter().filter(|(_, person)| query.wants(person)).count() as u64),
        groups: groups.into_iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(count: usize) -> Vec<(Box<str>, Person)> {
        let person = |n: usize| Person {
            guid: PersonId::parse(&format!("{n:032x}")).unwrap(),
            sip: format!("user{n}").into(),
            // Some have the same name.
            name: format!("User {}", n / 2).into(),
            groups: vec![if n.is_multiple_of(2) { "Even" } else { "Odd" }.into()],
            number: None,
        };
        let mut users: Vec<_> = (0..count).map(person).map(|person| (key(&person), person)).collect();
        users.sort_by(|(a, _), (b, _)| a.cmp(b));
        users
    }

    #[test]
    fn pages_give_every_user_once() {
        let all = users(45);
        for (group, count) in [(None, 45), (Some("Even"), 23)] {
            let mut query = UserQuery { limit: 10, group: group.map(Into::into), ..UserQuery::default() };
            let mut seen = BTreeSet::new();
            loop {
                let part = page(&all, &query);
                assert_eq!((part.total, part.groups.len()), (Some(count), 2));
                assert!(part.users.iter().all(|person| seen.insert(person.sip.clone())), "each once");
                query.after = part.next;
                if query.after.is_none() {
                    break;
                }
                assert_eq!(part.users.len(), 10);
            }
            assert_eq!(seen.len() as u64, count);
        }
        let exactly = page(&all[..10], &UserQuery { limit: 10, ..UserQuery::default() });
        assert_eq!((exactly.users.len(), exactly.next), (10, None));
    }
}
