//! The backend `file`.

use std::path::PathBuf;
use std::sync::Arc;

use provbroker::core::model::users_role::{PhoneApp, PhoneFacts, UserQuery};
use provbroker::users_role::backend::{Backend, BackendError, Entered, FileBackend};

use crate::world::*;

pub fn apps() -> Vec<PhoneApp> {
    vec![PhoneApp { name: "phone".into(), title: "Phone".into() }]
}

pub struct FileFixture {
    folder: tempfile::TempDir,
    backend: Arc<FileBackend>,
}

impl FileFixture {
    fn users(&self) -> PathBuf {
        self.folder.path().join("people.csv")
    }

    fn phones(&self) -> PathBuf {
        self.folder.path().join("out/phones.csv")
    }

    fn another(&self) -> FileBackend {
        FileBackend::new(self.users(), self.phones(), apps(), vec![domain(), other_domain()])
    }
}

impl Fixture for FileFixture {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (users, phones) = (folder.path().join("people.csv"), folder.path().join("out/phones.csv"));
        std::fs::write(&users, csv()).unwrap();
        let backend = Arc::new(FileBackend::new(users, phones, apps(), vec![domain(), other_domain()]));
        Self { folder, backend }
    }

    fn backend(&self) -> Arc<dyn Backend> {
        self.backend.clone()
    }

    async fn entered(&self) -> Vec<(String, String)> {
        let text = std::fs::read(self.phones()).unwrap();
        let mut all_settings = csv::Reader::from_reader(&*text);
        let records = all_settings.records().map(Result::unwrap);
        let mut all: Vec<_> = records.map(|record| (record[2].to_owned(), record[4].to_owned())).collect();
        all.sort_unstable();
        all
    }

    async fn away(&mut self, away: bool) {
        // A file is in the place of the folder.
        let blocker = self.folder.path().join("out");
        if away { std::fs::write(blocker, "in the way").unwrap() } else { std::fs::remove_file(blocker).unwrap() }
    }
}

#[tokio::test]
async fn a_changed_list_is_read_again_and_a_wrong_one_is_not_used() {
    let f = FileFixture::start().await;
    let names = async || {
        let page = f.backend.users(&domain(), &UserQuery { limit: 9, ..UserQuery::default() }).await.unwrap();
        page.users.into_iter().map(|person| person.sip.into_string()).collect::<Vec<_>>()
    };
    assert_eq!(names().await.len(), 3);
    std::fs::write(f.users(), "sip,name,domain\nida,Ida,example.com\n").unwrap();
    let changed = async {
        while names().await != ["ida"] {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), changed).await.expect("the new list is used");
    std::fs::write(f.users(), "sip,name,domain\nida,Ida,example.com\nida,Twice,example.com\n").unwrap();
    let fault = async {
        while f.backend.status(&domain()).up {
            assert_eq!(names().await, ["ida"]);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), fault).await.expect("the mistake is reported");
    assert_eq!(names().await, ["ida"]);
    let why = f.backend.status(&domain()).why.unwrap();
    assert!(why.contains("line 3: ida is there twice"), "{why}");
}

#[tokio::test]
async fn without_a_list_nobody_is_known_and_it_is_said() {
    let f = FileFixture::start().await;
    std::fs::remove_file(f.users()).unwrap();
    let found = f.another().user_by_sip(&domain(), "anna").await;
    assert!(matches!(found, Err(BackendError::Later { .. })), "{found:?}");
}

#[tokio::test]
async fn no_cell_is_a_formula_and_other_lines_stay() {
    let f = FileFixture::start().await;
    let mut first = order(&*f.backend, 1, "anna", 1).await;
    (first.name, first.phone.product) = ("=1+1".into(), "@SUM(A1)".into());
    first.phone = PhoneFacts { port: Some("-TEL1".into()), ..first.phone };
    f.backend.enter(&first).await.unwrap();
    assert_eq!(f.backend.enter(&first).await, Ok(Entered::Already));
    let text = std::fs::read_to_string(f.phones()).unwrap();
    assert!(text.contains(",anna,'=1+1,") && text.contains(",'-TEL1,'@SUM(A1),"), "{text}");
    // Another program removes a line, and another node adds one.
    std::fs::write(f.phones(), text.lines().next().unwrap().to_owned() + "\r\n").unwrap();
    f.another().enter(&order(&*f.backend, 2, "otto", 2).await).await.unwrap();
    f.backend.enter(&order(&*f.backend, 3, "eva", 3).await).await.unwrap();
    assert_eq!(f.entered().await, pairs(&[("otto", 2), ("eva", 3)]));
    // A foreign file is not overwritten.
    std::fs::write(f.phones(), "my,own,file\n1,2,3\n").unwrap();
    let refused = f.backend.enter(&order(&*f.backend, 4, "eva", 4).await).await;
    assert!(matches!(refused, Err(BackendError::Later { .. })), "{refused:?}");
    assert_eq!(std::fs::read_to_string(f.phones()).unwrap(), "my,own,file\n1,2,3\n");
}
