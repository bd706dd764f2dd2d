//! A user list in a CSV file: `sip,name` and optionally `guid`, `groups`, `number` and `domain`. It is read again
//! when the file has changed; a faulty file leaves the previous list in use.
//!
//! Without `guid` the SIP name is the permanent identifier. Groups are separated by `|`. With more than one tenant
//! the column `domain` is required.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use csv::{ReaderBuilder, StringRecord};

use super::BackendError;
use crate::clock;
use crate::core::model::ids::DomainName;
use crate::core::model::time::Tick;
use crate::core::model::users_role::{MAX_TEXT, Person, PersonId, UserPage, UserQuery};

/// Shortest interval between checks of the file.
const CHECK_AFTER: Duration = Duration::from_secs(1);
/// Largest list, in bytes and in users.
const MAX_BYTES: u64 = 64 << 20;
const MAX_USERS: usize = 200_000;
/// Largest page.
const MAX_PAGE: usize = 1000;

/// The users of one domain, by name.
#[derive(Debug, Default)]
struct Users {
    sorted: Vec<Person>,
    by_id: HashMap<PersonId, usize>,
    by_sip: HashMap<Box<str>, usize>,
    groups: Vec<Box<str>>,
}

type Lists = BTreeMap<DomainName, Users>;

/// Time and size of the file when it was last read.
type Stamp = Option<(SystemTime, u64)>;

struct State {
    checked: Option<Tick>,
    stamp: Stamp,
    lists: Arc<Lists>,
    /// Error of the current file, if any.
    fault: Option<Box<str>>,
}

/// A list of users in a file.
pub struct UserList {
    file: PathBuf,
    tenants: Vec<DomainName>,
    state: Mutex<State>,
    /// Only one task reads the file at a time.
    reading: tokio::sync::Mutex<()>,
}

impl UserList {
    /// A list that is read on first use.
    pub fn new(file: PathBuf, tenants: Vec<DomainName>) -> Self {
        let state = State { checked: None, stamp: None, lists: Arc::default(), fault: Some("not read yet".into()) };
        Self { file, tenants, state: Mutex::new(state), reading: tokio::sync::Mutex::default() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // A panic cannot leave a field half written: each is assigned at once.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Error of the file, and number of known users of a domain.
    pub fn status(&self, domain: &DomainName) -> (Option<Box<str>>, u64) {
        self.with(|state| (state.fault.clone(), state.lists.get(domain).map_or(0, |users| users.sorted.len() as u64)))
    }

    /// The current lists, reading the file again if it has changed.
    async fn lists(&self) -> Result<Arc<Lists>, BackendError> {
        let _one = self.reading.lock().await;
        let (due, stamp) = self.with(|state| {
            let due = state.checked.is_none_or(|at| clock::now().since(at) >= CHECK_AFTER);
            (due, state.stamp)
        });
        if due {
            let (file, tenants) = (self.file.clone(), self.tenants.clone());
            let checked = tokio::task::spawn_blocking(move || read_if_changed(&file, stamp, &tenants)).await;
            self.with(|state| {
                state.checked = Some(clock::now());
                match checked {
                    Ok(ReadOutcome::New(stamp, lists)) => {
                        (state.stamp, state.lists, state.fault) = (stamp, Arc::new(lists), None);
                    }
                    Ok(ReadOutcome::Faulty(stamp, fault)) => {
                        tracing::warn!(file = %self.file.display(), %fault, "list of users is faulty; using the previous one");
                        (state.stamp, state.fault) = (stamp, Some(fault));
                    }
                    // Unchanged, or the process is stopping.
                    Ok(ReadOutcome::Same) | Err(_) => {}
                }
            });
        }
        self.with(|state| match &state.fault {
            Some(fault) if state.lists.is_empty() => Err(BackendError::later(format!("list of users: {fault}"))),
            _ => Ok(Arc::clone(&state.lists)),
        })
    }

    /// See [`super::Backend::users`].
    pub async fn users(&self, domain: &DomainName, query: &UserQuery) -> Result<UserPage, BackendError> {
        let lists = self.lists().await?;
        Ok(lists.get(domain).map(|users| users.page(query)).unwrap_or_default())
    }

    /// See [`super::Backend::user`].
    pub async fn user(&self, domain: &DomainName, person: &PersonId) -> Result<Option<Person>, BackendError> {
        let lists = self.lists().await?;
        Ok(lists.get(domain).and_then(|users| Some(users.sorted[*users.by_id.get(person)?].clone())))
    }

    /// See [`super::Backend::user_by_sip`].
    pub async fn user_by_sip(&self, domain: &DomainName, sip: &str) -> Result<Option<Person>, BackendError> {
        let lists = self.lists().await?;
        Ok(lists.get(domain).and_then(|users| Some(users.sorted[*users.by_sip.get(sip)?].clone())))
    }
}

impl Users {
    fn page(&self, query: &UserQuery) -> UserPage {
        let wanted = self.sorted.iter().filter(|person| query.wants(person));
        let total = wanted.clone().count();
        let after = query.after.as_deref().and_then(|id| self.by_id.get(&PersonId::parse(id).ok()?));
        let from = after.map_or(0, |at| at + 1);
        let limit = query.limit.clamp(1, MAX_PAGE);
        let mut rest = self.sorted[from..].iter().filter(|person| query.wants(person));
        let users: Vec<Person> = rest.by_ref().take(limit).cloned().collect();
        let next = rest.next().and(users.last()).map(|last| last.guid.as_str().into());
        UserPage { users, next, total: Some(total as u64), groups: self.groups.clone() }
    }

    fn of(mut persons: Vec<Person>) -> Self {
        persons.sort_by_cached_key(|person| (person.name.to_lowercase(), person.guid.clone()));
        let groups: BTreeSet<Box<str>> = persons.iter().flat_map(|person| person.groups.iter().cloned()).collect();
        let by_id = persons.iter().enumerate().map(|(at, person)| (person.guid.clone(), at)).collect();
        let by_sip = persons.iter().enumerate().map(|(at, person)| (person.sip.clone(), at)).collect();
        Self { sorted: persons, by_id, by_sip, groups: groups.into_iter().collect() }
    }
}

enum ReadOutcome {
    Same,
    New(Stamp, Lists),
    Faulty(Stamp, Box<str>),
}

fn read_if_changed(file: &Path, known: Stamp, tenants: &[DomainName]) -> ReadOutcome {
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) => return ReadOutcome::Faulty(None, format!("{}: {error}", file.display()).into()),
    };
    let stamp = metadata.modified().ok().map(|modified| (modified, metadata.len()));
    if stamp.is_some() && stamp == known {
        return ReadOutcome::Same;
    }
    if metadata.len() > MAX_BYTES {
        return ReadOutcome::Faulty(stamp, "it is larger than 64 MiB".into());
    }
    let read = std::fs::read(file).map_err(|error| error.to_string().into());
    match read.and_then(|bytes| parse(&bytes, tenants)) {
        Ok(lists) => ReadOutcome::New(stamp, lists),
        Err(fault) => ReadOutcome::Faulty(stamp, fault),
    }
}

/// Parses a list; the error names line and column.
fn parse(bytes: &[u8], tenants: &[DomainName]) -> Result<Lists, Box<str>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let head = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let separator = if head.contains(&b';') { b';' } else { b',' };
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(bytes);
    let mut record = StringRecord::new();
    let mut read = |record: &mut StringRecord| reader.read_record(record).map_err(|e| Box::from(e.to_string()));
    if !read(&mut record)? {
        return Err("line 1: the head line is missing: sip,name".into());
    }
    let columns = Columns::of(&record, tenants)?;
    let mut persons: BTreeMap<DomainName, Vec<Person>> = BTreeMap::new();
    let mut seen = (BTreeSet::new(), BTreeSet::new());
    let mut count = 0;
    while read(&mut record)? {
        let line = record.position().map_or(0, csv::Position::line);
        let (domain, person) = columns.person(&record, tenants).map_err(|why| format!("line {line}: {why}"))?;
        if !seen.0.insert((domain.clone(), person.guid.clone())) || !seen.1.insert((domain.clone(), person.sip.clone()))
        {
            return Err(format!("line {line}: {} is there twice", person.sip).into());
        }
        count += 1;
        if count > MAX_USERS {
            return Err(format!("more than {MAX_USERS} users").into());
        }
        persons.entry(domain).or_default().push(person);
    }
    // Domains without users are present too: the list is complete.
    let mut lists: Lists = tenants.iter().map(|domain| (domain.clone(), Users::default())).collect();
    lists.extend(persons.into_iter().map(|(domain, persons)| (domain, Users::of(persons))));
    Ok(lists)
}

const TITLES: [&str; 6] = ["sip", "name", "guid", "groups", "number", "domain"];

/// Index of the column of each of [`TITLES`].
struct Columns([Option<usize>; TITLES.len()]);

impl Columns {
    fn of(head: &StringRecord, tenants: &[DomainName]) -> Result<Self, Box<str>> {
        let mut columns = [None; TITLES.len()];
        for (number, title) in head.iter().enumerate() {
            let title = title.trim().to_ascii_lowercase();
            let Some(at) = TITLES.iter().position(|known| *known == title) else {
                return Err(format!("line 1, column {}: the columns are {}", number + 1, TITLES.join(", ")).into());
            };
            if columns[at].replace(number).is_some() {
                return Err(format!("line 1, column {}: {title} is there twice", number + 1).into());
            }
        }
        match columns {
            [Some(_), Some(_), ..] => {}
            _ => return Err("line 1: the columns sip and name are needed".into()),
        }
        if tenants.len() > 1 && columns[5].is_none() {
            return Err("line 1: there are several tenants, so the column domain is needed".into());
        }
        Ok(Self(columns))
    }

    fn person(&self, record: &StringRecord, tenants: &[DomainName]) -> Result<(DomainName, Person), String> {
        let cell = |at: usize| self.0[at].and_then(|column| record.get(column)).unwrap_or_default().trim();
        for (at, title) in TITLES.iter().enumerate() {
            let text = cell(at);
            if text.chars().any(char::is_control) {
                return Err(format!("{title} contains control characters"));
            }
            if text.chars().count() > MAX_TEXT && at != 3 {
                return Err(format!("{title} is longer than {MAX_TEXT} characters"));
            }
        }
        let (sip, name, guid, number, domain) = (cell(0), cell(1), cell(2), cell(4), cell(5));
        if sip.is_empty() {
            return Err("sip is empty".into());
        }
        let domain = match (domain, tenants) {
            ("", [only]) => only.clone(),
            ("", _) => return Err("domain is empty".into()),
            (name, _) => DomainName::parse(name).map_err(|_| format!("{name} is no name of a domain"))?,
        };
        let guid = PersonId::parse(if guid.is_empty() { sip } else { guid }).map_err(|e| e.to_string())?;
        let groups = cell(3).split('|').map(str::trim).filter(|group| !group.is_empty()).map(Into::into).collect();
        let name = if name.is_empty() { sip } else { name };
        let number = Some(number).filter(|number| !number.is_empty()).map(Into::into);
        Ok((domain, Person { guid, sip: sip.into(), name: name.into(), groups, number }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(names: &[&str]) -> Vec<DomainName> {
        names.iter().map(|name| DomainName::parse(name).unwrap()).collect()
    }

    #[test]
    fn a_list_is_read_with_what_it_has() {
        let one = tenants(&["example.com"]);
        let text = "\u{feff}Name;sip;groups;number\r\n\"Berg; Anna\";anna;Sales | Lab;201\r\n;otto;;\r\n";
        let lists = parse(text.as_bytes(), &one).unwrap();
        let users = &lists[&one[0]];
        let names: Vec<_> =
            users.sorted.iter().map(|person| (&*person.name, &*person.sip, person.guid.as_str())).collect();
        assert_eq!(names, [("Berg; Anna", "anna", "anna"), ("otto", "otto", "otto")]);
        assert_eq!(users.groups, ["Lab".into(), "Sales".into()] as [Box<str>; 2]);
        assert_eq!(users.sorted[0].number.as_deref(), Some("201"));
    }

    #[test]
    fn pages_give_every_user_once() {
        let one = tenants(&["example.com"]);
        let lines: Vec<String> = (0..25).map(|n| format!("u{n},User {}", n % 5)).collect();
        let lists = parse(format!("sip,name\n{}\n", lines.join("\n")).as_bytes(), &one).unwrap();
        let (mut seen, mut after) = (BTreeSet::new(), None);
        loop {
            let query = UserQuery { after, limit: 4, search: "user".into(), ..UserQuery::default() };
            let page = lists[&one[0]].page(&query);
            assert_eq!(page.total, Some(25));
            for person in page.users {
                assert!(seen.insert(person.sip), "once");
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 25);
    }

    #[test]
    fn tenants_are_kept_apart() {
        let two = tenants(&["a.example", "b.example"]);
        let text = "sip,name,domain\nanna,Anna,A.example\nanna,Other Anna,b.example\n";
        let lists = parse(text.as_bytes(), &two).unwrap();
        assert_eq!((&*lists[&two[0]].sorted[0].name, &*lists[&two[1]].sorted[0].name), ("Anna", "Other Anna"));
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let (one, two) = (tenants(&["a"]), tenants(&["a", "b"]));
        for (text, tenants, fault) in [
            ("", &one, "line 1: the head"),
            ("sip\nanna\n", &one, "line 1: the columns sip and name"),
            ("sip,name,pin\n", &one, "line 1, column 3"),
            ("sip,name,sip\n", &one, "line 1, column 3"),
            ("sip,name\nanna,A\n,B\n", &one, "line 3: sip is empty"),
            ("sip,name\nanna,A\nanna,B\n", &one, "line 3: anna is there twice"),
            ("sip,name\nanna,\"A\nB\"\n", &one, "line 2: name contains control"),
            ("sip,name\nanna,A\n", &two, "line 1: there are several tenants"),
            ("sip,name,domain\nanna,A,\n", &two, "line 2: domain is empty"),
        ] {
            let found = parse(text.as_bytes(), tenants).unwrap_err();
            assert!(found.starts_with(fault), "{text}: {found}");
        }
    }
}
