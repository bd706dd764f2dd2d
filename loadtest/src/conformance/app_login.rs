//! Connections and log-ins of apps: `docs/protocol/appwebsocket.md`, sections 1 to 4, and who may do what, section 6.

use serde_json::{Value, json};

use super::app::{App, Login};
use super::finding::{Findings, Step, ensure};
use super::kit::{Check, Kit, check};
use super::socket::{Socket, TEXT};

/// The checks of these sections.
pub const CHECKS: &[Check] = &[
    check!(upgrade, ["appwebsocket-1-a", "appwebsocket-1-b", "appwebsocket-1-d", "appwebsocket-1-e"]),
    check!(fragments, ["appwebsocket-1-c"]),
    check!(single_frames, ["appwebsocket-1-f"]),
    check!(binary, ["appwebsocket-1-h"]),
    check!(too_long, ["appwebsocket-1-g"]),
    check!(
        login,
        [
            "appwebsocket-2-a",
            "appwebsocket-3.1-a",
            "appwebsocket-3.1-b",
            "appwebsocket-3.1-c",
            "appwebsocket-3.2-a",
            "appwebsocket-3.3-a",
            "appwebsocket-3.4-a",
            "appwebsocket-3.4-b",
        ]
    ),
    check!(info, ["appwebsocket-3.3-b", "appwebsocket-3.3-c", "appwebsocket-4-a", "appwebsocket-4-b"]),
    check!(challenges, ["appwebsocket-3.1-d"]),
    check!(failures, ["appwebsocket-3.4-c", "appwebsocket-3.4-d"]),
    check!(once, ["appwebsocket-3.4-e"]),
    check!(passwords, ["appwebsocket-6-c", "appwebsocket-6-d"]),
    check!(narrow, ["appwebsocket-6-e"]),
];

async fn upgrade(kit: &Kit, f: &mut Findings) -> Step {
    let path = &kit.target.path;
    f.rule("appwebsocket-1-a");
    let origin = format!("Origin: https://{}\r\n", kit.target.authority());
    for app in ["", "/innovaphone-devices"] {
        Socket::open(&kit.target, &f.transcript, &format!("{path}{app}"), &origin).await?;
    }
    f.rule("appwebsocket-1-b");
    let socket = Socket::open(&kit.target, &f.transcript, path, "").await?;
    let head = socket.head.to_ascii_lowercase();
    ensure(!head.contains("sec-websocket-protocol"), || head.clone())?;
    f.rule("appwebsocket-1-d");
    let foreign = "Origin: https://pbx.example\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    let socket = Socket::open(&kit.target, &f.transcript, path, foreign).await?;
    ensure(!socket.head.to_ascii_lowercase().contains("sec-websocket-extensions"), || socket.head.clone())?;
    f.rule("appwebsocket-1-e");
    let accept = socket.head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Accept: "));
    let exact = accept.is_some_and(|value| !value.starts_with(' ')) && socket.head.len() < 1024;
    ensure(exact, || format!("{} bytes:\n{}", socket.head.len(), socket.head))
}

async fn fragments(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.stranger(&f.transcript).await?;
    f.rule("appwebsocket-1-c");
    let text = br#"{"mt":"AppChallenge","src":"cut"}"#;
    app.socket.frame(TEXT, &text[..5]).await?;
    app.socket.frame(0, &text[5..9]).await?;
    app.socket.frame(0x80, &text[9..]).await?;
    let answer = app.receive().await?;
    ensure(answer["mt"] == "AppChallengeResult" && answer["src"] == "cut", || answer.to_string())
}

async fn single_frames(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    app.list(json!({"mt": "GetDevices"}), "devices").await?;
    f.rule("appwebsocket-1-f");
    ensure(app.socket.plain, || "a frame that is not final, is masked or has reserved bits".into())
}

async fn binary(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.stranger(&f.transcript).await?;
    f.rule("appwebsocket-1-h");
    app.socket.message(crate::ws::BINARY, b"{\"mt\":\"AppChallenge\"}").await?;
    app.socket.expect_close(1003).await
}

async fn too_long(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("appwebsocket-1-g");
    let mut app = kit.stranger(&f.transcript).await?;
    app.socket.message(TEXT, " ".repeat(131_073).as_bytes()).await?;
    app.socket.expect_close(1009).await?;
    let mut app = kit.app(&f.transcript).await?;
    app.socket.message(TEXT, " ".repeat(131_073).as_bytes()).await?;
    // Longer than before the log-in, but no JSON.
    app.socket.expect_close(1007).await
}

async fn login(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.stranger(&f.transcript).await?;
    f.rule("appwebsocket-3.1-a");
    app.send(&json!({"mt": "AppChallenge", "appObj": "x", "user": "y", "src": "s1"})).await?;
    let first = app.receive().await?;
    f.judge("appwebsocket-2-a", first["mt"] == "AppChallengeResult" && first["src"] == "s1", &first);
    let challenge = first["challenge"].as_str().ok_or("no text challenge")?.to_owned();
    f.rule("appwebsocket-3.1-b");
    let short = (1..=16).contains(&challenge.len()) && challenge.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    ensure(short, || challenge.clone())?;
    let digits = challenge.len() == 16 && challenge.bytes().all(|byte| byte.is_ascii_digit());
    f.judge("appwebsocket-3.1-c", digits, &challenge);
    f.rule("appwebsocket-3.3-a");
    // No sip, no guid, no dn: absent texts count as empty.
    let login = Login { sip: String::new(), ..kit.login() };
    app.send_text(&login.text(&challenge)).await?;
    let result = app.receive().await?;
    ensure(result["mt"] == "AppLoginResult" && result["ok"] == true, || result.to_string())?;
    f.judge("appwebsocket-3.4-a", result["domain"].is_string(), &result);
    f.judge("appwebsocket-3.4-b", result["app"] == login.app.as_str(), &result);
    f.rule("appwebsocket-3.2-a");
    let mut app = kit.stranger(&f.transcript).await?;
    let challenge = app.challenge().await?;
    let mut text: Value = serde_json::from_str(&login.text(&challenge)).unwrap_or_default();
    if let Some(members) = text.as_object_mut() {
        for name in ["sip", "guid", "dn"] {
            members.remove(name);
        }
        members.insert("key".into(), "0123".into());
        members.insert("pbxObj".into(), "devices".into());
    }
    app.send(&text).await?;
    let result = app.receive().await?;
    ensure(result["ok"] == true, || result.to_string())
}

/// A log-in with this `info`, and the text of it in the digest.
async fn logs_in(kit: &Kit, f: &mut Findings, written: &str, canonical: &str) -> Step<bool> {
    let mut app = kit.stranger(&f.transcript).await?;
    let info = Some((written.to_owned(), canonical.to_owned()));
    let (_, result) = app.try_login(&Login { info, ..kit.login() }).await?;
    Ok(result["ok"] == true)
}

async fn info(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("appwebsocket-3.3-b");
    ensure(logs_in(kit, f, "{}", "{}").await?, || "an empty info is not in the digest".into())?;
    f.rule("appwebsocket-4-a");
    let written = r#"{ "z" : 1.50 , "a": "\u0041\/\u00e4\u001F", "b":[ null , true ] }"#;
    let canonical = "{\"z\":1.50,\"a\":\"A/ä\\u001f\",\"b\":[null,true]}";
    ensure(logs_in(kit, f, written, canonical).await?, || "the canonical text is not accepted".into())?;
    f.rule("appwebsocket-4-b");
    let with_white_space = r#"{ "a" : "x\/y" }"#;
    ensure(logs_in(kit, f, with_white_space, r#"{"a":"x\/y"}"#).await?, || "form B is not accepted".into())?;
    f.rule("appwebsocket-3.3-c");
    let mut app = kit.stranger(&f.transcript).await?;
    let challenge = app.challenge().await?;
    let text = kit.login().text(&challenge).replacen('{', "{\"info\":null,", 1);
    app.send_text(&text).await?;
    let result = app.receive().await?;
    ensure(result["ok"] == true, || format!("null is not absent: {result}"))
}

async fn challenges(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.stranger(&f.transcript).await?;
    let old = app.challenge().await?;
    let new = app.challenge().await?;
    f.rule("appwebsocket-3.1-d");
    ensure(old != new, || format!("twice {new}"))?;
    app.send_text(&kit.login().text(&old)).await?;
    let result = app.receive().await?;
    ensure(result["ok"] != true, || "a replaced challenge is accepted".into())?;
    let (_, result) = app.try_login(&kit.login()).await?;
    ensure(result["ok"] == true, || result.to_string())
}

async fn failures(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.stranger(&f.transcript).await?;
    let wrong = Login { domain: kit.unique("none"), password: "wrong".into(), ..kit.login() };
    f.rule("appwebsocket-3.4-c");
    for _ in 0..3 {
        let (_, result) = app.try_login(&wrong).await?;
        ensure(result["ok"] == false && result["error"] == "LOGIN_FAILED", || result.to_string())?;
    }
    f.rule("appwebsocket-3.4-d");
    app.socket.expect_close(1008).await
}

async fn once(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("appwebsocket-3.4-e");
    let (_, result) = app.try_login(&kit.login()).await?;
    ensure(result["ok"] != true, || result.to_string())?;
    app.socket.expect_close(1008).await
}

/// Whether a log-in is refused.
async fn is_refused(kit: &Kit, f: &mut Findings, login: &Login) -> Step<bool> {
    let mut app = kit.stranger(&f.transcript).await?;
    Ok(app.try_login(login).await?.1["ok"] != true)
}

async fn passwords(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("appwebsocket-6-c");
    let mut app = kit.app(&f.transcript).await?;
    let answer = app.request(json!({"mt": "GetLoginInfo"})).await?;
    ensure(answer["admin"] == false, || answer.to_string())?;
    f.rule("appwebsocket-6-d");
    for domain in [String::new(), kit.unique("none")] {
        let refused = is_refused(kit, f, &Login { domain: domain.clone(), ..kit.login() }).await?;
        ensure(refused, || format!("the password of {} fits for {domain:?}", kit.domain))?;
    }
    Ok(())
}

async fn narrow(kit: &Kit, f: &mut Findings) -> Step {
    let login = Login { app: "innovaphone-devices-api".into(), ..kit.login() };
    let mut app: App = kit.app_with(&f.transcript, &login).await?;
    f.rule("appwebsocket-6-e");
    let answer = app.request(json!({"mt": "RemoveDevicePhone", "hwId": "02ffffffffff", "id": "TEL1"})).await?;
    ensure(answer["error"] == "not allowed", || answer.to_string())?;
    let answer = app.request(json!({"mt": "GetDomains"})).await?;
    ensure(answer["error"].is_null(), || answer.to_string())
}
