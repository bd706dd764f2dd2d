//! Codes go out, phones enter, results come back.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use provbroker::core::model::ids::{Code, HardwareId};
use provbroker::sim::phone::{Phone, PhoneEvent, PhoneOptions};
use provbroker::sim::transport;
use serde_json::{Value, json};

use crate::support::broker::{CATEGORY, DOMAIN, STORAGE, run};
use crate::support::peer::{Device, guarded, identify, identify_with, init, until};
use crate::support::rest::Operator;
use crate::world::{World, rollout, state};

const PHONE: &str = "0090334100e1";

/// The state of the job `ntp` of a device.
fn ntp(device: &Value) -> &str {
    let work = device["work"].as_array().into_iter().flatten().find(|work| work["what"] == "ntp");
    work.and_then(|work| work["state"].as_str()).unwrap_or_default()
}

#[test]
fn a_phone_enters_at_the_site_and_the_centre_shows_it() {
    let world = World::start();
    run(async {
        let (centre, site) =
            (Operator::of_instance(world.centre.addr).await, Operator::of_instance(world.site.addr).await);
        let job = json!({"kind": "ntp", "values": {"server": "ntp.example.org"}});
        centre.done("POST", &format!("/domains/{DOMAIN}/config-jobs"), Some(job)).await;
        let (id, codes) = rollout(&centre, &["anna", "otto"]).await;
        world.desk.export(&world.centre, "out", &["--rollout", &id]);
        let mode = std::fs::metadata(world.desk.file("out")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let bytes = std::fs::read(world.desk.file("out")).unwrap();
        assert!(!codes.iter().any(|code| bytes.windows(12).any(|window| window == code.as_bytes())));

        // Lent: nobody enters with it at the centre, and the directory there does not know it.
        assert_eq!(state(&centre, &codes[0]).await, "lent");
        assert!(!init(world.centre.addr, &format!("mac={PHONE}&code={}", codes[0])).await.body.contains("sysadmin"));
        let mut stranger = Device::connect(world.centre.addr, "").await;
        stranger.identify(&identify_with("0090334100ff", &codes[0])).await;
        stranger.quiet().await;
        assert_eq!(state(&centre, &codes[0]).await, "lent");
        stranger.leave().await;
        let path = format!("/domains/{DOMAIN}/codes/{}", codes[0]);
        assert!(centre.refused(409, "DELETE", &path, None).await.contains("lent to the site berlin"));
        let rows = centre.get(&format!("/domains/{DOMAIN}/rollouts/{id}/rows")).await;
        assert_eq!(rows["rows"][0]["state"], "lent");

        let newest = async |operator: &Operator| operator.get("/audit?limit=1").await["entries"][0].clone();
        let export = newest(&centre).await;
        assert_eq!(
            (&export["what"], &export["to"], &export["domain"]),
            (&json!("bundle.export"), &json!("berlin"), &json!(DOMAIN))
        );

        let report = world.desk.import(&world.site, "out");
        let import = newest(&site).await;
        assert_eq!(
            (&import["what"], &import["to"], &import["domain"]),
            (&json!("bundle.import"), &json!("berlin"), &json!(DOMAIN))
        );
        assert_eq!(
            (&report["outcome"], &report["codes"], &report["kind"]),
            (&json!("imported"), &json!(2), &json!("site"))
        );
        assert_eq!(world.desk.import(&world.site, "out")["outcome"], "known");
        let plain = world.desk.done(&world.site, &["import", "out"]);
        assert_eq!(plain, "this bundle was imported before; nothing has changed\n");
        let domain = site.get(&format!("/domains/{DOMAIN}")).await;
        let categories: Vec<_> = domain["categories"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(categories, [CATEGORY], "only what is marked for provisioning");

        // A phone asks the directory of the site, enters there and gets its job.
        let mac = HardwareId::parse(PHONE).unwrap();
        let options = PhoneOptions {
            init_url: Some(format!("http://{}/init", world.site.addr)),
            reconnect: Duration::from_millis(100),
            restart: Duration::from_millis(5),
            ..PhoneOptions::new(mac)
        };
        let (phone, mut events) = Phone::start(options, transport::http_client().unwrap()).unwrap();
        let mut password = None;
        phone.type_code(Code::parse(&codes[0]).unwrap()).await;
        let device = format!("/domains/{DOMAIN}/devices/{PHONE}");
        let entered = async {
            while let Some(event) = events.recv().await {
                match event {
                    PhoneEvent::PasswordReceived(new) => password = Some(new),
                    PhoneEvent::Member(_) => return,
                    _ => {}
                }
            }
        };
        guarded("the phone enters", entered).await;
        until("its job is done", async || ntp(&site.get(&device).await) == "done").await;
        phone.stop().await;

        // The results.
        world.desk.results(&world.site, "back");
        let report = world.desk.import(&world.centre, "back");
        assert_eq!((&report["kind"], &report["devices"], &report["codes"]), (&json!("results"), &json!(1), &json!(1)));
        assert_eq!((state(&centre, &codes[0]).await, state(&centre, &codes[1]).await), ("used".into(), "lent".into()));
        let shown = centre.get(&device).await;
        assert_eq!((&shown["product"], &shown["way"]), (&json!("IP112"), &json!("code")));
        assert_eq!((&shown["category"]["name"], ntp(&shown)), (&json!(CATEGORY), "done"));
        assert_eq!(shown["entered"], site.get(&device).await["entered"]);
        let steps = centre.get(&format!("{device}/timeline")).await;
        assert!(steps.to_string().contains("entered"), "{steps}");
        let rows = centre.get(&format!("/domains/{DOMAIN}/rollouts/{id}/rows")).await;
        assert_eq!((&rows["rows"][0]["state"], &rows["rows"][0]["device"]), (&json!("registered"), &json!(PHONE)));
        assert_eq!(world.desk.import(&world.centre, "back")["outcome"], "known");

        // The device is known at the centre should it come there.
        let password = password.expect("the phone has got one");
        let mut back = Device::connect(world.centre.addr, "").await;
        let facts = identify(PHONE);
        back.identify(&facts).await;
        let challenge = back.expect_challenge().await;
        back.answer(&facts, &challenge, password.expose()).await;
        until("it is a member of the centre", async || centre.get(&device).await["online"] == true).await;
        back.leave().await;
    });
}

#[test]
fn later_results_replace_earlier_ones_and_earlier_ones_change_nothing() {
    let world = World::start();
    run(async {
        let (centre, site) =
            (Operator::of_instance(world.centre.addr).await, Operator::of_instance(world.site.addr).await);
        let marked = json!({"name": STORAGE, "provisioning": true});
        let storage = centre.get(&format!("/domains/{DOMAIN}")).await["categories"][1]["id"].to_string();
        centre.done("PUT", &format!("/domains/{DOMAIN}/categories/{storage}"), Some(marked)).await;
        world.desk.export(&world.centre, "out", &["--new-codes", "3", "--category", CATEGORY]);
        assert_eq!(world.desk.import(&world.site, "out")["codes"], 3);
        let listed = site.get(&format!("/domains/{DOMAIN}/codes")).await;
        let code = listed["codes"][0]["code"].as_str().unwrap().to_owned();
        crate::support::secrets::note(&code);
        let (device, password) = Device::enter(world.site.addr, PHONE, &code).await;
        device.leave().await;
        let back = Device::come_back(world.site.addr, PHONE, &password).await;
        back.leave().await;
        world.desk.results(&world.site, "early");
        let there = site.get(&format!("/domains/{DOMAIN}")).await["categories"].clone();
        let other = there.as_array().unwrap().iter().find(|c| c["name"] == STORAGE).unwrap()["id"].clone();
        let path = format!("/domains/{DOMAIN}/devices/{PHONE}");
        site.done("PATCH", &path, Some(json!({"category": other}))).await;
        world.desk.results(&world.site, "late");

        let category = async || centre.get(&path).await["category"]["name"].clone();
        world.desk.import(&world.centre, "early");
        assert_eq!(category().await, CATEGORY);
        world.desk.import(&world.centre, "late");
        assert_eq!(category().await, STORAGE);
        assert_eq!(world.desk.import(&world.centre, "early")["outcome"], "older");
        assert_eq!(category().await, STORAGE);

        // The next bundle has what is lent and not over, and more; jobs that are gone at the centre go at the site.
        let job = json!({"kind": "ntp", "values": {"server": "ntp.example.org"}});
        let job = centre.done("POST", &format!("/domains/{DOMAIN}/config-jobs"), Some(job)).await["id"].to_string();
        world.desk.export(&world.centre, "second", &["--new-codes", "1", "--category", CATEGORY]);
        assert_eq!(world.desk.import(&world.site, "second")["codes"], 1);
        let jobs = async || site.get(&format!("/domains/{DOMAIN}/jobs")).await["jobs"].as_array().unwrap().len();
        assert_eq!(jobs().await, 1);
        centre.done("DELETE", &format!("/domains/{DOMAIN}/jobs/{job}"), None).await;
        world.desk.export(&world.centre, "third", &[]);
        assert_eq!(world.desk.import(&world.site, "third")["codes"], 0);
        assert_eq!(jobs().await, 0);
        assert_eq!(world.desk.import(&world.site, "second")["outcome"], "older");
        // A device that has entered at the centre since keeps what it has there.
        let mine = centre.done("POST", &format!("/domains/{DOMAIN}/codes"), Some(json!({"category": CATEGORY}))).await;
        let mine = mine["code"].as_str().unwrap();
        crate::support::secrets::note(mine);
        let (device, newest) = Device::enter(world.centre.addr, PHONE, mine).await;
        device.leave().await;
        until("it is offline", async || centre.get(&path).await["online"] == false).await;
        world.desk.results(&world.site, "last");
        let report = world.desk.import(&world.centre, "last");
        assert!(report["leftOut"][0].as_str().unwrap().contains("entered here later"), "{report}");
        Device::come_back(world.centre.addr, PHONE, &newest).await.leave().await;
    });
}
