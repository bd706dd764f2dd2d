//! Builds the result texts of a request from the answer of the service, and what follows when they were sent.

use super::event::Answer;
use super::slots::{Then, Work};
use super::subscriptions::{domain_texts, known_configs};
use crate::core::model::app_ip_path::AppIpPath;
use crate::core::model::device_view::DeviceView;
use crate::core::model::ids::{DomainName, Secret};
use crate::core::protocol::appws::message::{ApiError, Request};
use crate::core::protocol::appws::objects::DeviceObject;
use crate::core::protocol::appws::select::Selection;
use crate::core::protocol::appws::{answers, passthrough};

/// A device with its passthrough address in this session.
pub(super) fn with_address<'a>(view: &'a DeviceView, base: &str, key: &Secret) -> DeviceObject<'a> {
    view.object().with_uri(|view| passthrough::address(base, &view.key, key))
}

/// A device of a list of the app interface: the address of an app platform in the list of gateways leads to its App IP
/// (`docs/protocol/devices-api.md` 3.1).
pub(super) fn listed<'a>(view: &'a DeviceView, selection: &Selection, base: &str, key: &Secret) -> DeviceObject<'a> {
    let path = selection.app_ip_of(view).map_or("", AppIpPath::as_str);
    view.object().with_uri(|view| passthrough::address(base, &view.key, key) + path)
}

/// The result of a request, and the domain in which it makes the client act as Users (`docs/protocol/devices-api.md`
/// 2.5), if any.
pub(super) fn reply(
    request: &Request,
    answer: Answer,
    base: &str,
    key: &Secret,
    session_key: &Secret,
) -> (Work, Option<DomainName>) {
    let ready = |texts: Vec<String>, then| Work::Ready(texts.into(), then);
    let work = match answer {
        Answer::Categories { name, domain, categories } => {
            return (ready(answers::categories(request, domain, &categories), Then::Nothing), Some(name));
        }
        Answer::Code { name, code, valid_until, url } => {
            let texts = vec![answers::provisioning_code(request, &code, valid_until, &url)];
            return (ready(texts, Then::Await(name.clone(), code)), Some(name));
        }
        Answer::Device { name, code, device } => {
            let object = device.as_ref().map(|d| d.object());
            let texts = vec![answers::provisioned_device(request, &code, object.as_ref())];
            return (ready(texts, Then::Await(name.clone(), code)), Some(name));
        }
        Answer::Named(device) => Work::text(answers::device(request, &with_address(&device, base, key))),
        Answer::Ports(ports) => Work::text(answers::ports(request, &ports)),
        Answer::Done => Work::text(answers::done(request)),
        Answer::Fetched { status, content_type, body } => {
            Work::text(answers::fetched(request, status, content_type.as_deref(), &body))
        }
        Answer::Domains(views) => {
            let texts = domain_texts(&views);
            let parts = answers::domains(request, texts.values().map(|(text, _)| text.as_str()));
            ready(parts, Then::Domains(texts))
        }
        Answer::DeviceConfigs(domain, listed) => {
            let known = known_configs(&listed);
            let parts = answers::device_configs(request, known.values().map(|(_, text)| &**text));
            ready(parts, Then::Configs(domain, known))
        }
        Answer::DeviceConfig { config, script, seed } => {
            let texts = answers::device_config(request, &config, script.as_ref(), &seed, session_key);
            ready(texts, Then::Nothing)
        }
        Answer::Unassigned(count) => ready(vec![answers::count(request, count)], Then::Count(count)),
        Answer::Hits(hits) => ready(hits.answers(request), Then::Nothing),
        Answer::Failed(error) => Work::text(request.error(error)),
        // Only lists and subscriptions ask for pages and repeated reads.
        Answer::Page { .. } | Answer::Looked(_) => Work::text(request.error(ApiError::Internal)),
    };
    (work, None)
}
