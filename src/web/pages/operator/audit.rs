//! The audit log.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Answer, Operator, Page, ROWS};
use crate::core::model::accounts::{AuditEntry, KnownBy};
use crate::core::model::time::UnixMillis;

#[derive(Template)]
#[template(path = "operator/audit.html")]
struct AuditPage {
    page: Page,
    audit_entries: Vec<(AuditEntry, &'static str)>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct AuditQuery {
    at: Option<u64>,
    #[serde(default)]
    mark: String,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/operator/audit", web::get().to(show));
}

impl AuditPage {
    /// By what somebody is known who is not signed in.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "a template passes references")]
    fn known_by(&self, by: &KnownBy) -> &'static str {
        self.page.t(match by {
            KnownBy::Account => "operator.by_account",
            KnownBy::Instance => "operator.by_instance",
            KnownBy::Domain => "operator.by_domain",
            KnownBy::App => "operator.by_app",
        })
    }
}

/// The name of an action.
fn action_name(page: &Page, what: &str) -> &'static str {
    page.t(match what {
        "session.begin" => "deed.session_begin",
        "session.end" => "deed.session_end",
        "session.end_all" => "deed.session_end_all",
        "password.change" => "deed.password_change",
        "device.change" => "deed.device_change",
        "device.app_ip" => "deed.device_app_ip",
        "device.remove" => "deed.device_remove",
        "device.open" => "deed.device_open",
        "device.assign" => "deed.device_assign",
        "device.move" => "deed.device_move",
        "device.offer" => "deed.device_offer",
        "offer.accept" => "deed.offer_accept",
        "offer.refuse" => "deed.offer_refuse",
        "port.remove" => "deed.port_remove",
        "category.make" => "deed.category_make",
        "category.change" => "deed.category_change",
        "category.delete" => "deed.category_delete",
        "code.issue" => "deed.code_issue",
        "bundle.export" => "deed.bundle_export",
        "bundle.import" => "deed.bundle_import",
        "code.revoke" => "deed.code_revoke",
        "job.make" => "deed.job_make",
        "job.delete" => "deed.job_delete",
        "builds.set" => "deed.builds_set",
        "domain.make" => "deed.domain_make",
        "domain.delete" => "deed.domain_delete",
        "domain.password" => "deed.domain_password",
        "domain.admin_password" => "deed.domain_admin_password",
        "domain.token" => "deed.domain_token",
        "domain.access" => "deed.domain_access",
        "entry.again" => "deed.entry_again",
        "phone.add" => "deed.phone_add",
        "phone.cancel" => "deed.phone_cancel",
        "key.rotate" => "deed.key_rotate",
        "rollout.begin" => "deed.rollout_begin",
        "rollout.reissue" => "deed.rollout_reissue",
        "rollout.cancel" => "deed.rollout_cancel",
        "rollout.download" => "deed.rollout_download",
        "rollout.remove" => "deed.rollout_remove",
        "accounts.make" => "deed.account_make",
        "accounts.password" => "deed.account_password",
        "accounts.remove" => "deed.account_remove",
        _ => "deed.other",
    })
}

async fn show(operator: Operator, query: web::Query<AuditQuery>) -> Answer<HttpResponse> {
    let before = query.at.map(|at| (UnixMillis(at), &*query.mark));
    let audit_entries = operator.pages.sign_in.audit_entries(operator.who(), before, ROWS).await?;
    let next = audit_entries.last().filter(|_| audit_entries.len() == ROWS);
    let next = next.map(|last| format!("/ui/operator/audit?at={}&mark={}", last.at.0, last.mark));
    let page = &operator.page;
    let audit_entries = audit_entries.into_iter().map(|action| {
        let text = action_name(page, &action.action.what);
        (action, text)
    });
    page.answer(&AuditPage { page: page.clone(), audit_entries: audit_entries.collect(), next })
}
