//! Messages of app connections: `docs/protocol/appwebsocket.md`, sections 1, 2, 5 and 7.

use std::time::Duration;

use serde_json::{Value, json};

use super::finding::{Findings, Step, ensure};
use super::kit::{Check, Kit, check};
use super::socket::TEXT;

/// The check that waits for half a minute.
pub const SLOW: &[Check] = &[check!(idle, ["appwebsocket-1-i"])];

/// All others.
pub const CHECKS: &[Check] = &[
    check!(echoes, ["appwebsocket-2-b", "appwebsocket-2-c", "appwebsocket-2-d", "appwebsocket-2-f"]),
    check!(order, ["appwebsocket-2-e"]),
    check!(too_early, ["appwebsocket-5-a", "appwebsocket-5-e"]),
    check!(early, ["appwebsocket-5-b"]),
    check!(malformed, ["appwebsocket-5-c"]),
    check!(at_once, ["appwebsocket-5-d"]),
    check!(builds, ["appwebsocket-7.1-a", "appwebsocket-7.1-b", "appwebsocket-7.1-c"]),
    check!(apps, ["appwebsocket-7.2-a", "appwebsocket-7.2-b", "appwebsocket-7.2-c"]),
    check!(notices, ["appwebsocket-7.3-a", "appwebsocket-7.5-b"]),
    check!(keep_alive, ["appwebsocket-7.4-a"]),
    check!(unknown, ["appwebsocket-7.5-a"]),
];

async fn idle(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("appwebsocket-1-i");
    ensure(app.next(Duration::from_secs(29)).await?.is_none(), || "a message".into())?;
    ensure(app.socket.pings.contains(&b"{}".to_vec()), || format!("{} pings, none with {{}}", app.socket.pings.len()))
}

async fn echoes(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let ask = async |app: &mut super::app::App, request: Value| {
        app.send(&request).await?;
        app.receive().await
    };
    f.rule("appwebsocket-2-b");
    let answer = ask(&mut app, json!({"mt": "GetUserInfo", "src": "äöü-1"})).await?;
    ensure(answer["src"] == "äöü-1", || answer.to_string())?;
    f.rule("appwebsocket-2-c");
    let api = "com.innovaphone.devices";
    let answer = ask(&mut app, json!({"mt": "GetDevice", "api": api, "hwId": "02ffffffffff", "src": "2"})).await?;
    ensure(answer["api"] == api && answer["mt"] == "GetDeviceResult", || answer.to_string())?;
    f.rule("appwebsocket-2-d");
    let answer = ask(&mut app, json!({"mt": "GetUserInfo"})).await?;
    ensure(answer["mt"] == "GetUserInfoResult" && answer.get("src").is_none(), || answer.to_string())?;
    f.rule("appwebsocket-2-f");
    let answer = ask(&mut app, json!({"mt": "GetUserInfo", "somethingNew": [{}], "src": "3"})).await?;
    ensure(answer["error"].is_null() && answer["src"] == "3", || answer.to_string())
}

async fn order(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("appwebsocket-2-e");
    let asked = ["GetDomains", "GetUserInfo", "GetProvisioningCategories", "GetLoginInfo", "GetDomains"];
    for mt in asked {
        app.send(&json!({"mt": mt})).await?;
    }
    for mt in asked {
        let answer = app.receive().await?;
        ensure(answer["mt"] == format!("{mt}Result").as_str(), || format!("{} instead of {mt}Result", answer["mt"]))?;
    }
    Ok(())
}

async fn too_early(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("appwebsocket-5-a");
    for message in [
        json!({"mt": "GetUserInfo"}),
        json!({"mt": "Hello"}),
        json!({"mt": "AppChallenge", "api": "com.innovaphone.devices"}),
    ] {
        let mut app = kit.stranger(&f.transcript).await?;
        app.send(&message).await?;
        app.socket.expect_close(1008).await?;
    }
    f.rule("appwebsocket-5-e");
    let mut app = kit.stranger(&f.transcript).await?;
    app.send(&json!({"mt": "AppCheckLogin", "app": "x", "domain": "x", "challenge": "1", "digest": "0"})).await?;
    app.socket.expect_close(1008).await
}

async fn early(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.stranger(&f.transcript).await?;
    f.rule("appwebsocket-5-b");
    app.send(&json!({"mt": "KeepAlive", "src": "k"})).await?;
    let answer = app.receive().await?;
    ensure(answer["mt"] == "KeepAlive", || answer.to_string())?;
    let answer = app.request(json!({"mt": "CheckBuild", "url": "https://x.example/y"})).await?;
    ensure(answer["mt"] == "CheckBuildResult", || answer.to_string())
}

async fn malformed(kit: &Kit, f: &mut Findings) -> Step {
    f.rule("appwebsocket-5-c");
    for text in [&b"hello"[..], b"[]", b"{}", br#"{"mt":1}"#, b"{\"mt\":\"\xff\"}", br#"{"mt":"KeepAlive"#] {
        let mut app = kit.stranger(&f.transcript).await?;
        f.transcript.sent(String::from_utf8_lossy(text));
        app.socket.message(TEXT, text).await?;
        app.socket.expect_close(1007).await?;
    }
    Ok(())
}

async fn at_once(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.stranger(&f.transcript).await?;
    let challenge = app.challenge().await?;
    f.rule("appwebsocket-5-d");
    app.send_text(&kit.login().text(&challenge)).await?;
    app.send(&json!({"mt": "GetUserInfo", "src": "at once"})).await?;
    let result = app.receive().await?;
    ensure(result["mt"] == "AppLoginResult", || result.to_string())?;
    let answer = app.receive().await?;
    ensure(answer["src"] == "at once" && answer["key"].is_string(), || answer.to_string())
}

async fn builds(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let uri = app.request(json!({"mt": "GetProvisioningCode", "category": kit.category})).await?["url"].clone();
    // The instance as browsers see it: the address of devices, with the scheme of pages.
    let instance = uri.as_str().unwrap_or_default().trim_end_matches("/sysclients").replacen("ws", "http", 1);
    f.rule("appwebsocket-7.1-a");
    let page = format!("{instance}/abc123/innovaphone-devices.htm?x=1#y");
    let answer = app.request(json!({"mt": "CheckBuild", "url": page})).await?;
    let right = answer["url"].as_str().unwrap_or_default().to_owned();
    let good = right.ends_with("/innovaphone-devices.htm?x=1#y") && right.starts_with(&instance) && right != page;
    ensure(good, || answer.to_string())?;
    let answer = app.request(json!({"mt": "CheckBuild", "url": page.replacen("/abc123", "", 1)})).await?;
    ensure(answer["url"] == right.as_str(), || answer.to_string())?;
    f.rule("appwebsocket-7.1-b");
    let answer = app.request(json!({"mt": "CheckBuild", "url": right})).await?;
    ensure(answer.get("url").is_none(), || answer.to_string())?;
    f.rule("appwebsocket-7.1-c");
    for foreign in ["https://pbx.example/abc123/x.htm", "ftp://x/y", "nothing"] {
        let answer = app.request(json!({"mt": "CheckBuild", "url": foreign})).await?;
        ensure(answer.get("url").is_none(), || answer.to_string())?;
    }
    Ok(())
}

async fn apps(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("appwebsocket-7.2-a");
    let answer = app.request(json!({"mt": "AppInfo", "app": "innovaphone-devices-api"})).await?;
    let info = &answer["info"];
    let offered = info["hidden"] == true && info["apis"]["com.innovaphone.devices"].is_object();
    ensure(offered, || answer.to_string())?;
    let page = app.request(json!({"mt": "AppInfo", "app": "innovaphone-devices"})).await?;
    ensure(page["info"]["apis"]["com.innovaphone.devicesui"].is_object(), || page.to_string())?;
    f.rule("appwebsocket-7.2-b");
    ensure(answer["serviceInfo"]["apis"]["com.innovaphone.devices"].is_object(), || answer.to_string())?;
    f.rule("appwebsocket-7.2-c");
    let answer = app.request(json!({"mt": "AppInfo", "app": "something-else"})).await?;
    ensure(answer["info"] == json!({"apis": {}}), || answer.to_string())
}

async fn notices(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    let info = json!({"mt": "PbxInfo", "domain": "x", "pbx": "hq", "pbxDns": "x", "apis": [], "version": "14r1"});
    for (id, message) in [("appwebsocket-7.3-a", info), ("appwebsocket-7.5-b", json!({"mt": "SomethingResult"}))] {
        f.rule(id);
        app.send(&message).await?;
        app.send(&json!({"mt": "KeepAlive", "src": id})).await?;
        let answer = app.receive().await?;
        ensure(answer["src"] == id, || format!("an answer: {answer}"))?;
    }
    Ok(())
}

async fn keep_alive(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("appwebsocket-7.4-a");
    app.send(&json!({"mt": "KeepAlive"})).await?;
    let answer = app.receive().await?;
    ensure(answer == json!({"mt": "KeepAlive"}), || answer.to_string())?;
    app.send(&json!({"mt": "KeepAlive", "src": "1"})).await?;
    let answer = app.receive().await?;
    ensure(answer == json!({"mt": "KeepAlive", "src": "1"}), || answer.to_string())
}

async fn unknown(kit: &Kit, f: &mut Findings) -> Step {
    let mut app = kit.app(&f.transcript).await?;
    f.rule("appwebsocket-7.5-a");
    let answer = app.request(json!({"mt": "MakeCoffee", "api": "com.innovaphone.devices"})).await?;
    let good = answer["error"] == "unknown message" && answer["api"] == "com.innovaphone.devices";
    ensure(good, || answer.to_string())
}
