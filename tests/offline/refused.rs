//! What is refused, each with one line that says what to do; nothing has changed then.

use provbroker::core::model::bundle::SiteName;
use provbroker::core::model::ids::DomainName;
use provbroker::core::model::time::UnixMillis;
use provbroker::core::policy::bundle::Record;
use provbroker::core::protocol::bundle::{Kind, Lock, Manifest, Writer};
use serde_json::json;

use crate::support::broker::{Broker, CATEGORY, DOMAIN, Keep, PASSWORD, run};
use crate::support::rest::Operator;
use crate::world::{Desk, World, empty, rollout};

/// The first bytes of the manifest, and of the version before it.
const VERSION_AT: usize = 19;

fn changed(desk: &Desk, from: &str, to: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(desk.file(from)).unwrap();
    change(&mut bytes);
    std::fs::write(desk.file(to), bytes).unwrap();
}

#[test]
fn a_file_that_is_not_as_it_was_made_changes_nothing() {
    let world = World::start();
    let desk = &world.desk;
    run(async {
        let (centre, site) =
            (Operator::of_instance(world.centre.addr).await, Operator::of_instance(world.site.addr).await);
        let (id, _) = rollout(&centre, &["anna"]).await;
        desk.export(&world.centre, "out", &["--rollout", &id]);
        changed(desk, "out", "cut", |bytes| bytes.truncate(bytes.len() - 1));
        changed(desk, "out", "tiny", |bytes| bytes.truncate(30));
        changed(desk, "out", "bent", |bytes| *bytes.last_mut().unwrap() ^= 1);
        changed(desk, "out", "newer", |bytes| bytes[VERSION_AT + 1] = 9);
        changed(desk, "out", "more", |bytes| bytes.push(0));
        changed(desk, "out", "other", |bytes| bytes[0] = b'x');
        for (file, what) in [
            ("cut", "cut off"),
            ("tiny", "cut off"),
            ("bent", "damaged"),
            ("newer", "format 9"),
            ("more", "behind the end"),
            ("other", "no bundle"),
        ] {
            let line = desk.refused(&world.site, &["import", file]);
            assert!(line.contains(what), "{file}: {line}");
        }
        let wrong = desk.run(&world.site, &["import", "out", "--key-file", "other-key"], None);
        assert!(wrong.code == 1 && wrong.err.contains("not the one that the bundle was made with"), "{wrong:?}");
        let wrong = desk.run(&world.site, &["import", "out"], Some("a passphrase of some length"));
        assert!(wrong.code == 2 && wrong.err.contains("made with a key file"), "{wrong:?}");
        let wrong = desk.run(&world.site, &["import", "out"], None);
        assert!(wrong.code == 2 && wrong.err.contains("PROVBROKER_BUNDLE_PASSPHRASE"), "{wrong:?}");
        assert!(desk.refused(&world.centre, &["import", "out"]).contains("was made here, for a site"));
        assert!(site.get("/domains").await["domains"].as_array().unwrap().is_empty());
    });
}

#[test]
fn a_passphrase_is_not_shown_and_has_to_be_right() {
    let world = World::start();
    let right = "correct horse battery staple";
    crate::support::secrets::note(right);
    let export = ["export", "out", "--in", DOMAIN, "--site", "berlin"];
    let short = world.desk.run(&world.centre, &export, Some("short"));
    assert!(short.code == 2 && short.err.contains("less than 12 characters"), "{short:?}");
    let done = world.desk.run(&world.centre, &export, Some(right));
    assert_eq!(done.code, 0, "{done:?}");
    let again = world.desk.run(&world.centre, &export, Some(right));
    assert!(again.code == 2 && again.err.contains("such a file already"), "{again:?}");
    let wrong = world.desk.run(&world.site, &["import", "out"], Some("correct horse battery stable"));
    assert!(wrong.code == 1 && wrong.err.contains("not the one"), "{wrong:?}");
    let done = world.desk.run(&world.site, &["import", "out"], Some(right));
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn a_domain_of_somebody_else_stays_as_it_is() {
    let world = World::start();
    run(async {
        let site = Operator::of_instance(world.site.addr).await;
        world.desk.export(&world.centre, "out", &[]);
        let own = json!({"name": DOMAIN, "password": PASSWORD, "categories": []});
        site.done("POST", "/domains", Some(own)).await;
        assert!(world.desk.refused(&world.site, &["import", "out"]).contains("comes from no centre"));
        site.done("DELETE", &format!("/domains/{DOMAIN}"), None).await;
        world.desk.import(&world.site, "out");

        // Another centre with a domain of the same name, and a bundle for another site.
        let elsewhere = Keep::embedded();
        let other = Broker::on(&elsewhere, |_| {});
        world.desk.export(&other, "foreign", &[]);
        assert!(world.desk.refused(&world.site, &["import", "foreign"]).contains("comes from another centre"));
        world.desk.done(&world.centre, &["export", "paris", "--in", DOMAIN, "--site", "paris"]);
        assert!(world.desk.refused(&world.site, &["import", "paris"]).contains("for the site paris"));
        let lending = ["export", "x", "--in", DOMAIN, "--site", "rome"];
        assert!(world.desk.refused(&world.site, &lending).contains("comes from another centre"));
        let results = ["export", "x", "--in", DOMAIN, "--results"];
        assert!(world.desk.refused(&world.centre, &results).contains("comes from no centre"));
        world.desk.results(&world.site, "back");
        assert!(world.desk.refused(&other, &["import", "back"]).contains("for another centre"));
        world.desk.import(&world.centre, "back");
    });
}

#[test]
fn what_is_over_or_too_much_is_refused() {
    let world = World::start();
    let elsewhere = Keep::embedded();
    let small = Broker::on(&elsewhere, |config| {
        empty(config);
        config.quotas.codes_per_day = 2;
    });
    run(async {
        let centre = Operator::of_instance(world.centre.addr).await;
        let (id, _) = rollout(&centre, &["anna", "otto", "eva"]).await;
        world.desk.export(&world.centre, "out", &["--rollout", &id]);
        assert!(world.desk.refused(&small, &["import", "out"]).contains("quotas.codes_per_day"));
        let there = Operator::of_instance(small.addr).await.get("/domains").await;
        assert!(there["domains"].as_array().unwrap().is_empty());
        for (arguments, what) in [
            (vec!["--rollout", "99"], "no such roll-out"),
            (vec!["--category", "Nowhere"], "category"),
            (vec!["--new-codes", "50001", "--category", CATEGORY], "newCodes"),
        ] {
            let all = [&["export", "x", "--in", DOMAIN, "--site", "berlin"][..], &arguments].concat();
            let line = world.desk.refused(&world.centre, &all);
            assert!(line.contains(what), "{line}");
        }
        let bad = world.desk.refused(&world.centre, &["export", "x", "--in", DOMAIN, "--site", "../x"]);
        assert!(bad.contains("site:"), "{bad}");
        let mark = world.centre.store().instance_mark();
        let manifest = |expires| Manifest {
            kind: Kind::Results,
            id: "00".into(),
            centre: mark.clone(),
            site: SiteName::parse("berlin").unwrap(),
            domain: DomainName::parse(DOMAIN).unwrap(),
            serial: 1,
            created: UnixMillis(0),
            expires: UnixMillis(expires),
            lock: Lock::by_key_file([7; 16]),
        };
        for (expires, record, what) in
            [(1, Record::End(0), "expired"), (u64::MAX, Record::End(7), "has 0 records and says 7")]
        {
            let manifest = manifest(expires);
            let key = manifest.lock.open_by_key_file(&std::fs::read(world.desk.file("key")).unwrap()).unwrap();
            let mut writer = Writer::new(&manifest, &key);
            assert!(writer.add(&record.write()));
            std::fs::write(world.desk.file("made"), writer.finish()).unwrap();
            let line = world.desk.refused(&world.centre, &["import", "made"]);
            assert!(line.contains(what), "{line}");
        }
        // Only the operator of the instance.
        let own = Operator::of(world.centre.addr, DOMAIN, PASSWORD).await;
        own.refused(403, "POST", "/bundles", None).await;
        let body =
            json!({"site": "berlin", "key": "00".repeat(32), "lock": {"by": "keyFile", "salt": "00".repeat(16)}});
        own.refused(403, "POST", &format!("/domains/{DOMAIN}/bundles"), Some(body)).await;
    });
}
