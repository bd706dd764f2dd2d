//! The tables: server against floor, the checks, the groups, and all samples for readers who cannot see the plots.
//!
//! Columns without figures and tables without rows are left out.

use serde_json::Value;

use super::read::{joined, kibibytes, micros, millis, number, plain, rows, seconds, text, times};
use super::tiles::sign;

type Column = (&'static str, &'static str, fn(f64) -> String);

const COMPARED: [Column; 10] = [
    ("Registrations per second", "registrations_per_s", plain),
    ("Half registered within", "p50_ms", millis),
    ("99 % registered within", "p99_ms", millis),
    ("Server CPU per registration", "server_cpu_us_per_registration", micros),
    ("Memory per idle device", "rss_per_device_kib", kibibytes),
    ("Redis commands per registration", "redis_commands_per_registration", plain),
    ("Load CPU per registration", "load_cpu_us_per_registration", micros),
    ("Devices", "devices", plain),
    ("Lost", "lost", plain),
    ("Time", "seconds", seconds),
];

const OF_GROUP: [Column; 5] = [
    ("Devices", "devices", plain),
    ("Registered", "registered", plain),
    ("Lost", "lost", plain),
    ("p50", "p50_ms", millis),
    ("p99", "p99_ms", millis),
];

const OF_SAMPLE: [Column; 11] = [
    ("At (s)", "at_s", plain),
    ("Registered", "registered", plain),
    ("Failed", "failed", plain),
    ("Open", "open", plain),
    ("p50 (ms)", "p50_ms", plain),
    ("p90 (ms)", "p90_ms", plain),
    ("p99 (ms)", "p99_ms", plain),
    ("Max (ms)", "max_ms", plain),
    ("CPU (%)", "server_cpu_percent", plain),
    ("RSS (KiB)", "server_rss_kib", plain),
    ("Redis commands", "redis_commands", plain),
];

const OF_PERCENTILE: [Column; 2] = [("Percentile", "percentile", percentile), ("Within (ms)", "ms", plain)];

fn percentile(value: f64) -> String {
    value.to_string()
}

/// The server against the floor.
pub fn floor(report: &Value) -> Option<String> {
    let floor = &report["floor"];
    let lines: Vec<String> = COMPARED
        .iter()
        .filter_map(|(name, member, write)| {
            let (here, there) = (number(report, member), number(floor, member)?);
            // The report may have computed the ratio from more exact figures.
            let given = match *member {
                "server_cpu_us_per_registration" => number(report, "ratio/cpu"),
                "rss_per_device_kib" => number(report, "ratio/rss"),
                _ => None,
            };
            let ratio = given.or_else(|| (there > 0.0).then_some(here? / there)).filter(|_| *member != "devices");
            let cell = |value: Option<f64>, write: fn(f64) -> String| format!("<td>{}</td>", or_dash(value.map(write)));
            let cells = [cell(here, *write), cell(Some(there), *write), cell(ratio, times)].concat();
            Some(format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>\n"))
        })
        .collect();
    let head = "<tr><th scope=\"col\">Figure</th><th scope=\"col\">Broker</th><th scope=\"col\">Floor</th>\
                <th scope=\"col\">Broker ÷ floor</th></tr>";
    let note = "<p>The floor is an empty actor on plain actix-web, measured in the same run: it only accepts, \
                upgrades and answers. Ratios hold on any machine, times do not.</p>\n";
    (!lines.is_empty()).then(|| format!("{note}{}", table("floor", head, &joined(lines))))
}

/// The checks and their results.
pub fn checks(report: &Value) -> Option<String> {
    let checks = rows(report, "checks");
    let lines = checks.iter().map(|check| {
        let (class, shape, label) = match check["ok"].as_bool() {
            Some(true) => ("ok", "held", "passed"),
            Some(false) => ("wrong", "missed", "failed"),
            None => ("", "unknown", "not known"),
        };
        format!(
            "<tr class=\"{class}\"><td class=\"verdict\">{} {label}</td>\
             <th scope=\"row\">{}</th><td class=\"words\">{}</td></tr>\n",
            sign(shape),
            or_dash(text(check, "name")),
            text(check, "detail").unwrap_or_default(),
        )
    });
    let head = "<tr><th scope=\"col\">Result</th><th scope=\"col\" class=\"words\">Check</th>\
                <th scope=\"col\" class=\"words\">Detail</th></tr>";
    (!checks.is_empty()).then(|| table("stack", head, &joined(lines)))
}

/// Number of failed checks, and of all.
pub fn failed_checks(report: &Value) -> (usize, usize) {
    let checks = rows(report, "checks");
    (checks.iter().filter(|check| check["ok"].as_bool() == Some(false)).count(), checks.len())
}

/// The groups.
pub fn groups(report: &Value) -> Option<String> {
    listed(rows(report, "groups"), Some("Group"), &OF_GROUP)
}

/// Every sample.
pub fn samples(report: &Value) -> Option<String> {
    listed(rows(report, "samples"), None, &OF_SAMPLE)
}

/// Every percentile.
pub fn percentiles(report: &Value) -> Option<String> {
    listed(rows(report, "percentiles"), None, &OF_PERCENTILE)
}

fn listed(rows: &[Value], named: Option<&str>, columns: &[Column]) -> Option<String> {
    let columns: Vec<&Column> =
        columns.iter().filter(|(_, member, _)| rows.iter().any(|row| number(row, member).is_some())).collect();
    if rows.is_empty() || (columns.is_empty() && named.is_none()) {
        return None;
    }
    let name = named.map_or_else(String::new, |name| format!("<th scope=\"col\">{name}</th>"));
    let head = joined(columns.iter().map(|(name, ..)| format!("<th scope=\"col\">{name}</th>")));
    let body = joined(rows.iter().map(|row| {
        let name = named.map_or_else(String::new, |_| format!("<th scope=\"row\">{}</th>", or_dash(text(row, "name"))));
        let cells = joined(columns.iter().map(|(_, member, write)| {
            let class = if *member == "lost" && number(row, member).is_some_and(|lost| lost > 0.0) {
                " class=\"bad\""
            } else {
                ""
            };
            format!("<td{class}>{}</td>", or_dash(number(row, member).map(write)))
        }));
        format!("<tr>{name}{cells}</tr>\n")
    }));
    Some(table("list", &format!("<tr>{name}{head}</tr>"), &body))
}

/// A table that scrolls on its own if it is wider than the page, by keyboard too.
fn table(class: &str, head: &str, body: &str) -> String {
    format!(
        "<div class=\"wide\" tabindex=\"0\"><table class=\"{class}\"><thead>{head}</thead>\n\
         <tbody>{body}</tbody></table></div>\n"
    )
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}
