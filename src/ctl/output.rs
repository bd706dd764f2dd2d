//! Prints answers: objects, lists page by page, and CSV.

use std::io::Write;

use reqwest::Response;
use serde_json::Value;

use super::CtlError;
use super::call::{Body, Call, List, Show};
use super::client::Client;
use super::table::{Table, thing};

/// Entries per page, the most that the interface allows.
const PAGE: u64 = 1000;

/// Performs a call and prints its answer.
pub(super) async fn show(
    client: &Client,
    mut call: Call,
    path: &str,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), CtlError> {
    match call.show {
        Show::List(List { pages: Some(limit), .. }) if limit.limit == Some(0) => {
            return Err(CtlError::Arguments("--limit: at least 1".into()));
        }
        Show::List(list) if list.below.is_none() || !json => return rows(client, &call, path, list, json, out).await,
        _ => {}
    }
    let answer = client.call(call.method, path, &call.query, std::mem::take(&mut call.body)).await?;
    match call.show {
        Show::Nothing => {}
        Show::Csv => copy(client, answer, out).await?,
        Show::Thing | Show::List(_) => {
            let (text, value) = client.json(answer).await?;
            if json {
                out.write_all(&text)?;
                out.write_all(b"\n")?;
            } else {
                out.write_all(thing(&value).as_bytes())?;
            }
        }
    }
    Ok(out.flush()?)
}

/// Prints a list page by page. A short or empty page need not be the last one.
async fn rows(
    client: &Client,
    call: &Call,
    path: &str,
    list: List,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), CtlError> {
    let invalid = |what: &str| CtlError::Answer(format!("the answer has {what}; is this a broker of this version?"));
    let mut left = list.pages.map(|limit| limit.limit.unwrap_or(u64::MAX));
    let (mut table, mut cursor, mut first) = (Table::new(list.columns), None, true);
    if json {
        out.write_all(b"[")?;
    }
    loop {
        let mut query = call.query.clone();
        query.extend(left.map(|left| ("limit", left.min(PAGE).to_string())));
        query.extend(cursor.clone().map(|cursor| ("cursor", cursor)));
        let (_, mut page) = client.json(client.call(call.method, path, &query, Body::None).await?).await?;
        let Some(Value::Array(items)) = page.get_mut(list.member).map(Value::take) else {
            return Err(invalid("no list"));
        };
        left = left.map(|left| left.saturating_sub(items.len() as u64));
        if json {
            for item in &items {
                out.write_all(if std::mem::take(&mut first) { b"\n" } else { b",\n" })?;
                out.write_all(item.to_string().as_bytes())?;
            }
        } else {
            out.write_all(table.add(&parts(items, list.each)).as_bytes())?;
            if let Some(below) = list.below.and_then(|member| page.get(member)) {
                out.write_all(b"\n")?;
                out.write_all(thing(below).as_bytes())?;
            }
        }
        out.flush()?;
        let next = match page.get("next") {
            Some(Value::String(next)) => Some(next.clone()),
            Some(Value::Number(next)) => Some(next.to_string()),
            _ => None,
        };
        if next.is_none() || left.is_none_or(|left| left == 0) {
            break;
        }
        if next == cursor {
            return Err(invalid("no end"));
        }
        cursor = next;
    }
    if json {
        out.write_all(b"\n]\n")?;
    }
    Ok(out.flush()?)
}

/// Splits a row into one row for each item of its member `each`; the other members are repeated.
fn parts(rows: Vec<Value>, each: Option<&str>) -> Vec<Value> {
    let Some(member) = each else { return rows };
    let mut all = Vec::new();
    for mut row in rows {
        let Some(Value::Array(parts)) = row.get_mut(member).map(Value::take) else { continue };
        for part in parts {
            let mut whole = row.clone();
            whole[member] = part;
            all.push(whole);
        }
    }
    all
}

/// Copies CSV to the output. Prints the number of a roll-out, so that its codes can be revoked if the list breaks off.
async fn copy(client: &Client, mut answer: Response, out: &mut dyn Write) -> Result<(), CtlError> {
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
    let rollout = location.and_then(|value| value.rsplit('/').next()).and_then(|id| id.parse::<u64>().ok());
    if let Some(id) = rollout {
        eprintln!("provbroker: roll-out {id}");
    }
    loop {
        match answer.chunk().await {
            Ok(Some(piece)) => {
                out.write_all(&piece)?;
                out.flush()?;
            }
            Ok(None) => return Ok(()),
            Err(error) => {
                let CtlError::Unreachable { why, .. } = client.lost(&error) else { return Err(client.lost(&error)) };
                let advice = rollout.map_or_else(String::new, |id| {
                    format!("; see `rollouts show {id}`, and revoke its codes with `rollouts delete {id} --revoke`")
                });
                return Err(CtlError::Answer(format!("the list broke off: {why}{advice}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_part_of_a_row_becomes_a_row() {
        let rows = vec![json!({"id": 1, "work": [{"what": "ntp"}, {"what": "sip"}]}), json!({"id": 2, "work": []})];
        let parts = parts(rows, Some("work"));
        assert_eq!(parts, [json!({"id": 1, "work": {"what": "ntp"}}), json!({"id": 1, "work": {"what": "sip"}})]);
    }
}
