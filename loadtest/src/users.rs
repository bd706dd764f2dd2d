//! `loadtest users`: a simulated Users service that asks for codes and prints the notices.

use anyhow::{Context as _, bail};
use clap::Args;
use provbroker::core::model::device::Category;
use provbroker::core::model::ids::{Code, Secret};
use provbroker::core::session::app::client::{Login, Notice};
use provbroker::sim::users::{Users, UsersEvent, UsersOptions};
use serde_json::{Value, json};

use crate::terminal::{closed, typed_code};
use crate::timeline::Timeline;

#[derive(Args)]
pub struct Arguments {
    #[arg(long, help = "Address of the app WebSocket, such as ws://127.0.0.1:8080/example.com/devices")]
    url: String,
    /// Domain to log in with
    #[arg(long)]
    domain: String,
    /// Password of the domain, or of the instance
    #[arg(long)]
    password: String,
    /// Category for the phones [default: the first one for provisioning]
    #[arg(long)]
    category: Option<String>,
    /// App name of the log-in
    #[arg(long, default_value = "innovaphone-devices-api")]
    app: String,
    /// SIP name of the user who gets the phone
    #[arg(long)]
    sip: Option<String>,
    /// Ask for codes with long validity
    #[arg(long)]
    rollout: bool,
    /// Number of codes to ask for; 0: only wait for notices
    #[arg(long, default_value_t = 1)]
    codes: u32,
    /// An open code of an earlier run; may be repeated
    #[arg(long = "open-code", value_parser = typed_code)]
    open_codes: Vec<Code>,
    /// Exit when no code is open any more
    #[arg(long)]
    once: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Runs until interrupted, or with `--once` until no code is open.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let login = Login {
        app: arguments.app.as_str().into(),
        domain: arguments.domain.as_str().into(),
        sip: "".into(),
        guid: "".into(),
        dn: "".into(),
        password: Secret::new(arguments.password.as_str()),
    };
    let mut options = UsersOptions::new(arguments.url.as_str(), login);
    options.open_codes.clone_from(&arguments.open_codes);
    let (mut users, mut events) = Users::start(options);
    users.ready().await?;
    let printer = Printer { json: arguments.json, timeline: Timeline::start() };
    let mut open = arguments.open_codes.clone();
    if arguments.codes > 0 {
        open.extend(ask_for_codes(&users, &arguments, &printer).await?);
    }
    while !(arguments.once && open.is_empty()) {
        let event = tokio::select! {
            event = events.recv() => event.context("the client has stopped")?,
            result = tokio::signal::ctrl_c() => {
                result.context("cannot wait for an interrupt")?;
                users.stop().await;
                return Ok(());
            }
        };
        match &event {
            UsersEvent::Notice(Notice { code, .. }) | UsersEvent::Expired(code) => open.retain(|o| o != code),
            UsersEvent::LoginFailed(error) => bail!("log-in refused: {error}"),
            _ => {}
        }
        printer.event(&event);
    }
    users.stop().await;
    Ok(())
}

async fn ask_for_codes(users: &Users, arguments: &Arguments, printer: &Printer) -> anyhow::Result<Vec<Code>> {
    let category = if let Some(category) = &arguments.category {
        category.clone()
    } else {
        let categories = users.categories(Some("PHONE")).await.context("no list of categories")?;
        let first = categories.iter().find(|c: &&Category| c.provisioning);
        first.context("the domain has no category for provisioning")?.name.to_string()
    };
    let mut codes = Vec::new();
    for _ in 0..arguments.codes {
        let answer = users.code(&category, arguments.sip.as_deref(), arguments.rollout).await;
        let (code, valid_until) = answer.with_context(|| format!("no code for category {category:?}"))?;
        printer.code(code, valid_until, &category);
        codes.push(code);
    }
    Ok(codes)
}

struct Printer {
    json: bool,
    timeline: Timeline,
}

impl Printer {
    fn code(&self, code: Code, valid_until: u64, category: &str) {
        if self.json {
            println!("{}", json!({"event": "code", "code": code, "validUntil": valid_until, "category": category}));
        } else {
            let left = validity(valid_until);
            self.timeline.print(&format!("code {} for {category:?}, {left}", grouped(code)));
        }
    }

    fn event(&self, event: &UsersEvent) {
        if self.json {
            println!("{}", as_json(event));
        } else {
            self.timeline.print(&as_text(event));
        }
    }
}

/// The code in groups of four digits.
fn grouped(code: Code) -> String {
    let text = code.expose();
    [&text[..4], &text[4..8], &text[8..]].join(" ")
}

fn validity(valid_until: u64) -> String {
    // Wall clock, because a person compares it with the clock on the wall.
    #[allow(clippy::disallowed_methods)]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    match valid_until.saturating_sub(now) {
        0 => "no longer valid by this computer's clock".into(),
        left if left >= 86_400 => format!("valid for {} d {} h", left / 86_400, left % 86_400 / 3600),
        left => format!("valid for {} min {} s", left / 60, left % 60),
    }
}

fn as_text(event: &UsersEvent) -> String {
    match event {
        UsersEvent::Connected => "connected".into(),
        UsersEvent::ConnectFailed(error) => format!("not reached: {error}"),
        UsersEvent::Ready(domain) => format!("logged in at the instance of {domain}"),
        UsersEvent::LoginFailed(error) => format!("log-in refused: {error}"),
        UsersEvent::Notice(notice) => {
            let device = &notice.device;
            let port = notice.port.as_ref().map(|port| format!(" port {port}")).unwrap_or_default();
            let how = match (notice.again, notice.asked) {
                (true, _) => " (repeated)",
                (false, true) => " (learned after coming back)",
                (false, false) => "",
            };
            format!("code {} was taken by {} {}{port}{how}", grouped(notice.code), device.product, device.hw_id)
        }
        UsersEvent::Expired(code) => format!("code {} has expired unused", grouped(*code)),
        UsersEvent::Invalid(what) => format!("received {what}"),
        UsersEvent::Closed(code, reason) => closed(*code, reason),
        UsersEvent::Missed(count) => format!("… {count} events not shown"),
    }
}

fn as_json(event: &UsersEvent) -> Value {
    match event {
        UsersEvent::Connected => json!({"event": "connected"}),
        UsersEvent::ConnectFailed(error) => json!({"event": "connectFailed", "error": error}),
        UsersEvent::Ready(domain) => json!({"event": "ready", "domain": domain}),
        UsersEvent::LoginFailed(error) => json!({"event": "loginFailed", "error": error}),
        UsersEvent::Notice(notice) => {
            let device = &notice.device;
            json!({
                "event": "notice", "code": notice.code, "port": notice.port, "again": notice.again,
                "asked": notice.asked,
                "device": {"id": device.id, "hwId": device.hw_id, "name": device.name, "product": device.product,
                           "version": device.version, "type": device.kind, "online": device.online},
            })
        }
        UsersEvent::Expired(code) => json!({"event": "expired", "code": code}),
        UsersEvent::Invalid(what) => json!({"event": "strange", "what": what}),
        UsersEvent::Closed(code, reason) => json!({"event": "closed", "code": code, "reason": reason}),
        UsersEvent::Missed(count) => json!({"event": "missed", "count": count}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_and_shown_as_people_do() {
        let code = typed_code("4028 1773-9164#").unwrap();
        assert_eq!(grouped(code), "4028 1773 9164");
        assert_eq!(typed_code("4028").unwrap_err(), "a code has twelve digits");
    }

    #[test]
    fn a_validity_in_the_past_is_told() {
        assert_eq!(validity(1), "no longer valid by this computer's clock");
    }
}
