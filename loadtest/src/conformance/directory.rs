//! What phones are answered: `docs/protocol/directory.md`, section 4, and `docs/protocol/update-script.md`.

use serde_json::json;

use super::finding::{Findings, Step, ensure};
use super::kit::{Check, Kit, Need, check};
use super::target::HttpAnswer;

/// The checks of both texts.
pub const CHECKS: &[Check] = &[
    check!(
        form,
        ["directory-4-a", "directory-4-c", "directory-4-d", "directory-4.1-a", "directory-4.1-b", "directory-4.1-c"],
        [Need::InitUrl]
    ),
    check!(
        code,
        [
            "directory-4-b",
            "directory-4.2-a",
            "directory-4.2-b",
            "update-script-2-a",
            "update-script-4-a",
            "update-script-5-a"
        ],
        [Need::InitUrl]
    ),
    check!(wrong, ["directory-4.3-a", "directory-6-a"], [Need::InitUrl]),
    check!(refused, ["directory-4.5-a", "directory-4.5-b", "directory-4.5-c"], [Need::InitUrl]),
];

const FORM: &str = "vars create UPDATE/PROVISIONING-CODE h prompt";

/// Asks as a phone does.
async fn ask(kit: &Kit, f: &Findings, method: &str, rest: &str) -> Step<HttpAnswer> {
    let init = kit.init.as_ref().ok_or("no address that phones ask")?;
    init.request(&f.transcript, method, &format!("{}{rest}", init.path), "").await
}

fn lines(answer: &HttpAnswer) -> Vec<String> {
    answer.text().lines().map(str::to_owned).collect()
}

async fn form(kit: &Kit, f: &mut Findings) -> Step {
    let mac = kit.id();
    f.rule("directory-4.1-a");
    let first = ask(kit, f, "GET", &format!("?mac={mac}&type=IP112&more=1")).await?;
    let has = |answer: &HttpAnswer, line: &str| lines(answer).iter().any(|its| its == line);
    ensure(first.status == 200 && has(&first, FORM), || first.text())?;
    f.rule("directory-4-d");
    let kind = first.field("Content-Type").unwrap_or_default().to_ascii_lowercase();
    let good = kind.replace(' ', "") == "text/plain;charset=utf-8"
        && first.field("Cache-Control") == Some("no-store")
        && first.field("Content-Length").is_some();
    ensure(good, || first.head.clone())?;
    f.rule("directory-4.1-b");
    let again = ask(kit, f, "GET", &format!("?mac={mac}&type=IP112")).await?;
    let marked = [&first, &again].map(|answer| has(answer, "config add UP1 /no-dhcp"));
    ensure(marked == [true, false], || format!("/no-dhcp at first and then: {marked:?}"))?;
    f.rule("directory-4.1-c");
    let prompted = ask(kit, f, "GET", &format!("?mac={mac}&PROVISIONING-CODE=prompt")).await?;
    ensure(!has(&prompted, FORM) && has(&prompted, "mod cmd UP1 provision 1"), || prompted.text())?;
    f.rule("directory-4-a");
    for rest in ["/", "/update-ip112.htm"] {
        let other = ask(kit, f, "GET", &format!("{rest}?mac={mac}&type=IP112")).await?;
        ensure(other.status == 200 && other.text() == again.text(), || format!("{rest}: {}", other.status))?;
    }
    f.rule("directory-4-c");
    let head = ask(kit, f, "HEAD", &format!("?mac={mac}&type=IP112")).await?;
    let same = head.field("Content-Length") == again.field("Content-Length");
    ensure(head.status == 200 && head.body.is_empty() && same, || head.head.clone())
}

async fn code(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let answer = app.request(json!({"mt": "GetProvisioningCode", "category": kit.category})).await?;
    let (code, url) = answer["code"].as_str().zip(answer["url"].as_str()).ok_or("no code with url")?;
    let mac = kit.id();
    f.rule("directory-4.2-a");
    let answer = ask(kit, f, "GET", &format!("?mac={mac}&PROVISIONING-CODE={code}")).await?;
    let all = lines(&answer);
    let line = all.iter().find(|line| line.starts_with("config change SYSCLIENT /sysadmin ")).cloned();
    let line = line.ok_or_else(|| super::finding::Unexpected(answer.text()))?;
    let place = |wanted: &str| all.iter().position(|line| line == wanted);
    let after = [place(&line), place("config write"), place("config activate")];
    f.judge("update-script-4-a", after.iter().all(Option::is_some) && after.is_sorted(), answer.text());
    f.judge(
        "update-script-2-a",
        answer.text().ends_with("\r\n") && all.iter().all(|line| line.len() < 2000),
        "another end of line",
    );
    f.rule("update-script-5-a");
    let encoded: String = url
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    ensure(line.ends_with(&format!(" {encoded}")), || line.clone())?;
    f.rule("directory-4.2-b");
    let again = ask(kit, f, "GET", &format!("?mac={mac}&PROVISIONING-CODE={code}")).await?;
    ensure(again.text() == answer.text(), || again.text())?;
    f.rule("directory-4-b");
    let typed = format!("{}%20{}-{}%23", &code[..4], &code[4..8], &code[8..]);
    let pairs: Vec<&str> = (0..6).map(|at| &mac[2 * at..2 * at + 2]).collect();
    let other = ask(kit, f, "GET", &format!("?sn={}&code={typed}", pairs.join("-"))).await?;
    ensure(other.text() == answer.text(), || other.text())
}

async fn wrong(kit: &Kit, f: &mut Findings) -> Step {
    let mac = kit.id();
    ask(kit, f, "GET", &format!("?mac={mac}")).await?;
    f.rule("directory-4.3-a");
    let unknown = ask(kit, f, "GET", &format!("?mac={mac}&PROVISIONING-CODE=000000000000")).await?;
    let malformed = ask(kit, f, "GET", &format!("?mac={mac}&PROVISIONING-CODE=12x")).await?;
    let form = lines(&unknown).iter().any(|line| line == FORM);
    ensure(form && unknown.text() == malformed.text(), || format!("{}\n{}", unknown.text(), malformed.text()))?;
    f.rule("directory-6-a");
    let echo = ask(kit, f, "GET", &format!("?mac={mac}&type=echo-me&ip=192.0.2.99&ver=echo-me")).await?;
    ensure(!echo.text().contains("echo-me") && !echo.text().contains("192.0.2.99"), || echo.text())
}

async fn refused(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("directory-4.5-a");
    for rest in ["/other", "/update-.htm", "/Update-ip112.htm"] {
        let answer = ask(kit, f, "GET", rest).await?;
        ensure(answer.status == 404, || format!("{rest}: {}", answer.status))?;
    }
    f.rule("directory-4.5-b");
    let answer = ask(kit, f, "POST", "").await?;
    ensure(answer.status == 405, || answer.status.to_string())?;
    f.rule("directory-4.5-c");
    let answer = ask(kit, f, "GET", &format!("?mac=x&y={}", "z".repeat(4097))).await?;
    ensure(answer.status == 414, || answer.status.to_string())
}
