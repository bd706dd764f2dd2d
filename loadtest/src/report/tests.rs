//! Pages of complete, damaged and malicious reports.

use std::fs;

use serde_json::{Value, json};

use super::{Arguments, page, run};

fn storm() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/storm.json")).unwrap()
}

/// The page without script and style, which contain the searched texts.
fn body(report: &Value) -> String {
    let page = page(report);
    let body = page.split_once("<body>").unwrap().1;
    body.split_once("<script>").unwrap().0.to_owned()
}

fn has_no_damaged_number(page: &str) {
    for word in ["NaN", "inf", "null", "undefined", "e+", "-0"] {
        for attribute in [" d=\"", " x=\"", " y=\"", " cx=\"", " cy=\"", " width=\"", "data-hover=\""] {
            for found in page.split(attribute).skip(1) {
                let value = found.split('"').next().unwrap();
                assert!(!value.contains(word), "{attribute}{value}");
            }
        }
    }
}

#[test]
fn a_whole_report_has_every_part() {
    let body = body(&storm());
    for id in ["rate", "registered", "latency", "distribution", "cpu", "memory", "redis"] {
        assert!(body.contains(&format!("<figure id=\"{id}\">")), "{id}");
    }
    for title in ["How it went", "Checks", "Groups", "Beside the floor", "Run it again", "Figures of the plots"] {
        assert!(body.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
    assert!(body.contains(
        "All 18\u{202f}000 devices registered in 3.6\u{a0}s, none lost; 5 of 6 budgets held; 1 of 5 checks failed."
    ));
    assert_eq!(body.matches("<title id=").count(), body.matches("<figure").count());
    assert_eq!(body.matches("<desc id=").count(), body.matches("<figure").count());
    has_no_damaged_number(&body);
}

#[test]
fn the_page_needs_nothing_else() {
    let page = page(&storm());
    for far in ["http://", "https://", "url(", "@import", " src=", "<link rel=\"style"] {
        assert!(!page.contains(far), "{far}");
    }
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn the_policy_of_the_page_names_its_script() {
    use base64::Engine as _;
    use sha2::Digest as _;

    let page = page(&storm());
    let script = page.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(script));
    assert!(page.contains(&format!("script-src 'sha256-{hash}'")));
}

#[test]
fn a_report_of_an_earlier_run_becomes_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let [report, html] = ["storm.json", "storm.html"].map(|name| folder.path().join(name));
    let arguments = Arguments { report: report.clone(), html: html.clone() };
    assert!(run(&arguments).unwrap_err().to_string().contains("cannot read"));
    for (text, complaint) in [("[]", "is not a report"), ("{", "is not JSON")] {
        fs::write(&report, text).unwrap();
        assert!(run(&arguments).unwrap_err().to_string().contains(complaint));
        assert!(!html.exists());
    }
    fs::write(&report, storm().to_string()).unwrap();
    run(&arguments).unwrap();
    assert_eq!(fs::read_to_string(&html).unwrap(), page(&storm()));
}

#[test]
fn every_text_of_a_report_is_escaped() {
    let payload = "</title></style></script><script>alert(1)</script>\"'><img onerror=x>&amp;\u{202e}\u{7}";
    let mut report = storm();
    report["scenario"] = json!(payload);
    report["command"] = json!(payload);
    report["checks"] = json!([{ "name": payload, "ok": true, "detail": payload }, { "name": payload, "ok": payload }]);
    report["groups"] = json!([{ "name": payload, "devices": payload }]);
    report["devices"] = json!(payload);
    report["floor"] = json!(payload);
    report[payload] = json!(payload);
    report["samples"].as_array_mut().unwrap().push(json!({ "at_s": payload, payload: payload }));
    let page = page(&report);
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1);
    assert_eq!(page.matches("</title").count(), 1 + page.matches("<title id").count());
    assert!(!page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\u{7}'));
    let escaped = "&lt;/title&gt;&lt;/style&gt;&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&gt;\
                   &lt;img onerror=x&gt;&amp;amp;\u{fffd}\u{fffd}";
    // The title, the headline, the command, two checks with one detail, the group.
    assert_eq!(page.matches(escaped).count(), 7);
}

#[test]
fn a_report_of_any_shape_makes_a_page() {
    for report in
        [json!({}), json!(null), json!([1]), json!("x"), json!({ "samples": [], "percentiles": [], "checks": [] })]
    {
        let body = body(&report);
        assert!(!body.contains("<figure") && !body.contains("<h2>"), "{body}");
        assert!(body.contains("does not say"));
    }
}

#[test]
fn each_member_may_be_missing_or_damaged() {
    let complete = storm();
    for member in complete.as_object().unwrap().keys() {
        for damage in
            [json!(null), json!(-1), json!("NaN"), json!([null, 3, "x", {}]), json!({ "x": [] }), json!(1e308)]
        {
            let mut report = complete.clone();
            report[member] = damage;
            has_no_damaged_number(&body(&report));
        }
        let mut report = complete.clone();
        report.as_object_mut().unwrap().remove(member);
        has_no_damaged_number(&body(&report));
    }
}

#[test]
fn members_of_samples_may_be_missing_or_damaged() {
    let members =
        ["registered", "failed", "open", "p50_ms", "p99_ms", "server_cpu_percent", "server_rss_kib", "redis_commands"];
    let values = [json!(0), json!(1e-320), json!(7), json!(1e308), json!(null), json!(-5), json!("inf"), json!(1e15)];
    let samples: Vec<Value> = (0_u8..64)
        .map(|index| {
            let mut sample = json!({ "at_s": if index == 20 { 3.0 } else { f64::from(index) } });
            for (number, member) in (0..).zip(members) {
                sample[member] = values[(usize::from(index) * 5 + number * 3) % values.len()].clone();
            }
            sample
        })
        .collect();
    let percentiles =
        json!([{ "percentile": 100, "ms": 1e15 }, { "percentile": 0, "ms": 0 }, { "percentile": 101, "ms": 1 }]);
    let body = body(&json!({ "samples": samples, "percentiles": percentiles }));
    assert_eq!(body.matches("<figure").count(), 7);
    has_no_damaged_number(&body);
}

#[test]
fn one_sample_is_drawn_as_dots() {
    for at in [0.0, 2.0] {
        let sample = json!({ "at_s": at, "registered": 9, "p50_ms": 3.5, "server_rss_kib": 2048, "redis_commands": 4 });
        let body = body(&json!({ "samples": [sample] }));
        assert!(body.contains("<figure id=\"latency\">") && body.contains("<circle class=\"dot p-50\""));
        assert!(!body.contains("<figure id=\"redis\">"), "one total makes no rate");
        has_no_damaged_number(&body);
    }
}

#[test]
fn the_sentence_says_what_is_missing() {
    let sentence = |report: Value| {
        let body = body(&report);
        body.split_once("<span>").unwrap().1.split_once("</span>").unwrap().0.replace(['\u{202f}', '\u{a0}'], " ")
    };
    assert_eq!(
        sentence(json!({ "devices": 1000, "registered": 998, "lost": 2, "seconds": 60 })),
        "2 of 1 000 devices lost in 60 s; 0 of 1 budgets held."
    );
    assert_eq!(
        sentence(json!({ "devices": 1000, "registered": 990, "lost": 0 })),
        "10 of 1 000 devices not registered, none counted as lost; 1 of 1 budgets held."
    );
    assert_eq!(
        sentence(json!({ "devices": 5, "registered": 5, "seconds": 0.25 })),
        "All 5 devices registered in 0.25 s."
    );
}

#[test]
fn a_rate_holds_over_the_interval_before_its_sample() {
    let samples =
        json!([{ "at_s": 2, "registered": 200 }, { "at_s": 4, "registered": 1000 }, { "at_s": 6, "registered": 0 }]);
    let body = body(&json!({ "samples": samples }));
    let rate = body.split_once("id=\"rate\"").unwrap().1.split_once("</figure>").unwrap().0;
    assert!(rate.contains("2\u{a0}s: registrations/s 100") && rate.contains("4\u{a0}s: registrations/s 400"), "{rate}");
    assert!(!rate.contains("6\u{a0}s: "), "a total that falls makes no rate");
}
