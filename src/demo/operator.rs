//! The operator of the demonstration: makes jobs over the REST interface that update and configure phones.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use super::{Scene, StepLog, heading};
use crate::core::session::device::settings::Part;
use crate::sim::files::FileServer;
use crate::sim::phone::PhoneEvent;
use crate::sim::transport;

/// The build that the phones are updated to.
const BUILD: &str = "136044";

/// An operator with a token.
struct Operator {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Operator {
    async fn log_in(scene: &Scene) -> anyhow::Result<Self> {
        let base = scene.init.replace("/init", "/api/v1");
        let mut this = Self { http: transport::http_client()?, base, token: String::new() };
        let tenant = &scene.tenant;
        let credentials = json!({ "domain": tenant.name.as_str(), "password": tenant.password.expose() });
        let answer = this.call(reqwest::Method::POST, "/token", &credentials).await?;
        this.token = answer["token"].as_str().context("no token")?.into();
        this.base = format!("{}/domains/{}", this.base, tenant.name);
        Ok(this)
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token).json(body);
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        ensure!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }
}

impl Scene {
    pub(super) async fn with_jobs(&self, log: &mut StepLog) -> anyhow::Result<()> {
        heading(4, "An operator has made jobs: new firmware, time servers, a language. A person adds a phone.");
        let files = FileServer::start().await.context("file server")?;
        self.make_jobs(log, &files).await?;
        let (users, mut seen) = self.users(log).await?;
        let code = self.code(log, &users, "carla").await?;
        let (phone, mut events) = self.phone_with_code(log, code).await?;
        updated(log, &mut events).await?;
        let ordered = |event| {
            matches!(event, PhoneEvent::PageServed { what, status: 200 } if what.contains("/!config")).then_some(())
        };
        log.expect("phone", &mut events, "is configured through its tunnel, line by line", ordered).await?;
        let device = self.notice(log, &mut seen, code, &phone.0).await?;
        ensure!(device.contains(BUILD), "the notice came before the update: {device}");
        log.expect("phone", &mut events, "deletes the code: provisioning is finished", is_clean_up).await?;
        ensure!(files.asked() == ["ip112.bin", "boot112.bin"], "not the files of the build list: {:?}", files.asked());
        phone.1.stop().await;
        users.stop().await;
        Ok(())
    }

    async fn make_jobs(&self, log: &mut StepLog, files: &FileServer) -> anyhow::Result<()> {
        let operator = Operator::log_in(self).await?;
        log.print("operator", "exchanges the password of the tenant for a token");
        let builds =
            json!({ "baseUrl": files.base(), "products": { "IP112": { "firmware": BUILD, "bootcode": BUILD } } });
        operator.call(reqwest::Method::PUT, "/builds", &builds).await?;
        log.print("operator", &format!("imports a build list: IP112 runs {BUILD} from now on"));
        operator.call(reqwest::Method::POST, "/update-jobs", &json!({})).await?;
        for (kind, values) in
            [("ntp", json!({ "server": "ntp.example.org" })), ("language", json!({ "language": "de" }))]
        {
            operator.call(reqwest::Method::POST, "/config-jobs", &json!({ "kind": kind, "values": values })).await?;
        }
        log.print("operator", "makes three jobs: update, ntp, language");
        Ok(())
    }
}

async fn updated(log: &mut StepLog, events: &mut Receiver<PhoneEvent>) -> anyhow::Result<()> {
    for (part, what) in [(Part::Firmware, "loads the firmware"), (Part::BootCode, "loads the boot code")] {
        let loaded = |event| matches!(event, PhoneEvent::Loaded { part: loaded, .. } if loaded == part).then_some(());
        log.expect("phone", events, what, loaded).await?;
    }
    let restarts = |event| matches!(event, PhoneEvent::Restarting).then_some(());
    log.expect("phone", events, "restarts", restarts).await?;
    let back = |event| matches!(event, PhoneEvent::ChallengeAnswered).then_some(());
    log.expect("phone", events, "reconnects with the new build and answers the challenge", back).await
}

fn is_clean_up(event: PhoneEvent) -> Option<()> {
    matches!(event, PhoneEvent::PageServed { what, status: 200 } if what.contains("/!vars")).then_some(())
}
