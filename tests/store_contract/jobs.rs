//! Jobs and build lists.

use provbroker::core::model::ids::{CategoryId, ConfigId, JobId};
use provbroker::core::policy::jobs::builds::{Build, BuildList};
use provbroker::core::policy::jobs::config::{Configuration, Kind};
use provbroker::core::policy::jobs::{Hours, JobSpec, Task, Update};
use serde_json::json;

use crate::domains::created;
use crate::fixture::*;

pub fn config_job(category: Option<CategoryId>, value: &str) -> JobSpec {
    let values = [("server".to_owned(), json!(value)), ("port".to_owned(), json!(123))].into_iter().collect();
    JobSpec { category, desc: None, task: Task::Config(Configuration { kind: Kind::Ntp, values }) }
}

pub fn builds(firmware: &str) -> BuildList {
    let build = Build { firmware: Some(firmware.into()), ..Build::default() };
    BuildList { base_url: "https://files.example.org/".into(), products: [("IP112".into(), build)].into() }
}

pub async fn jobs_are_kept_in_order(f: impl Fixture) {
    let store = &**f.store();
    let phones = created(store).await.categories[0].id;
    let hours = Hours { allow: vec![22, 23, 0], utc_offset: -90 };
    let update = Task::Update(Update { builds: builds("136012").into(), hours });
    let mut made = Vec::new();
    for number in 0..12 {
        made.push(store.add_job(&domain(), &config_job(None, &format!("{number}"))).await.unwrap().unwrap());
    }
    made.push(
        store.add_job(&domain(), &JobSpec { category: Some(phones), desc: None, task: update }).await.unwrap().unwrap(),
    );
    assert!(made.is_sorted_by(|one, next| one.id < next.id && one.created <= next.created));
    assert!(made[0].created.seconds() > 1_700_000_000);
    assert_eq!(store.jobs(&domain()).await.unwrap(), made);
    assert!(store.remove_job(&domain(), made[3].id).await.unwrap());
    assert!(!store.remove_job(&domain(), made[3].id).await.unwrap());
    assert!(!store.remove_job(&other_domain(), made[4].id).await.unwrap());
    made.remove(3);
    assert_eq!(store.jobs(&domain()).await.unwrap(), made);
    assert!(store.jobs(&other_domain()).await.unwrap().is_empty());
    assert!(store.add_job(&other_domain(), &config_job(None, "x")).await.unwrap().is_none());
    assert!(!store.remove_job(&domain(), JobId(999)).await.unwrap());
}

pub async fn a_build_list_is_kept(f: impl Fixture) {
    let store = &**f.store();
    assert!(!store.set_builds(&domain(), &builds("1")).await.unwrap());
    created(store).await;
    assert!(store.builds(&domain()).await.unwrap().is_none());
    for list in [builds("136012"), builds("141103")] {
        assert!(store.set_builds(&domain(), &list).await.unwrap());
        assert_eq!(store.builds(&domain()).await.unwrap(), Some(list));
    }
}

pub async fn device_configurations_have_numbers(f: impl Fixture) {
    let store = &**f.store();
    let phones = Some(created(store).await.categories[0].id);
    let number = async |order: JobSpec| store.add_job(&domain(), &order).await.unwrap().unwrap().config.map(|id| id.0);
    let of = |kind, category| {
        let values = [("x".to_owned(), json!("y"))].into_iter().collect();
        JobSpec { category, desc: None, task: Task::Config(Configuration { kind, values }) }
    };
    let update = Task::Update(Update { builds: builds("1").into(), hours: Hours::default() });
    assert_eq!(number(JobSpec { category: None, desc: None, task: update }).await, None);
    assert_eq!(number(of(Kind::Ntp, None)).await, Some(1));
    assert_eq!(number(of(Kind::Language, None)).await, None, "there is no published type");
    assert_eq!(number(of(Kind::Ntp, phones)).await, Some(2));
    assert_eq!(number(of(Kind::Ntp, None)).await, Some(1), "a later job takes over");
    let jobs = store.jobs(&domain()).await.unwrap();
    let first = jobs.iter().find(|job| job.config == Some(ConfigId(1))).unwrap().id;
    assert!(store.remove_job(&domain(), first).await.unwrap());
    assert_eq!(number(of(Kind::Ntp, None)).await, Some(1), "a job of it is left");
    for job in store.jobs(&domain()).await.unwrap() {
        assert!(store.remove_job(&domain(), job.id).await.unwrap());
    }
    assert_eq!(number(of(Kind::Ntp, None)).await, Some(3), "it is another one");
    // Jobs that are made at the same time belong to the same one.
    let order = of(Kind::Sip, None);
    let made = futures_util::future::join_all((0..8).map(|_| number(order.clone()))).await;
    assert!(made.iter().all(|number| *number == made[0]), "{made:?}");
}
