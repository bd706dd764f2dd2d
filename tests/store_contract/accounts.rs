//! Accounts.

use provbroker::core::model::accounts::{Account, AccountName, Identity, Role};
use provbroker::core::model::ids::Secret;
use provbroker::store::PutAccount;

use crate::fixture::*;

pub fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

pub fn identity(account: &str) -> Identity {
    Identity {
        account: name(account),
        shown: "Anna {x} Ä".into(),
        role: Role::Person,
        domain: Some(domain()),
        domain_id: None,
        sip: "anna".into(),
    }
}

pub fn account(of: &str, hash: &str) -> Account {
    Account { identity: identity(of), hash: Secret::new(hash) }
}

pub async fn an_account_is_kept_once(f: impl Fixture) {
    let store = &**f.store();
    let put = async |new: &Account, replace| store.put_account(new, replace).await.unwrap();
    assert_eq!(store.account(&name("anna")).await.unwrap(), None);
    assert_eq!(put(&account("anna", "one"), false).await, PutAccount::Kept);
    assert_eq!(put(&account("anna", "two"), false).await, PutAccount::Exists);
    assert_eq!(store.account(&name("ANNA")).await.unwrap(), Some(account("anna", "one")));
    assert_eq!(put(&account("anna", "three"), true).await, PutAccount::Kept);
    assert_eq!(put(&account("z{d}min", "x"), false).await, PutAccount::Kept);
    assert_eq!(store.accounts().await.unwrap(), [account("anna", "three"), account("z{d}min", "x")]);
    let change =
        async |before, after| store.change_account(&account("anna", before), &account("anna", after)).await.unwrap();
    assert!(change("three", "four").await && !change("three", "five").await, "only as it was read");
    assert_eq!(store.account(&name("anna")).await.unwrap(), Some(account("anna", "four")));
    assert!(change("four", "three").await);
    assert!(store.remove_account(&name("anna")).await.unwrap());
    assert!(!change("three", "four").await, "not made again");
    assert!(!store.remove_account(&name("anna")).await.unwrap());
    assert_eq!(store.accounts().await.unwrap().len(), 1);
}
