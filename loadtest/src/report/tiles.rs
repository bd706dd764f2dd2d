//! The key figures, each compared with its budget if there is one.
//!
//! Whether a budget is met is shown by words and a shape; colour only repeats it.

use serde_json::Value;

use super::read::{joined, kibibytes, micros, millis, number, plain, seconds, times};

/// Budget: registrations per second, with server, load and Redis sharing two cores.
pub const REGISTRATIONS_PER_S: f64 = 5_000.0;

/// Budget: 99 of 100 devices are registered within this many milliseconds.
pub const P99_MS: f64 = 1_000.0;

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A budget for a figure.
struct Budget {
    bound: Bound,
    /// Desired value, better than the bound.
    aim: Option<f64>,
}

/// Result of comparing a figure with its budget.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BudgetStatus {
    Aim,
    Held,
    Missed,
}

impl Budget {
    fn at_most(bound: f64) -> Self {
        Self { bound: Bound::AtMost(bound), aim: None }
    }

    fn status(&self, value: f64) -> BudgetStatus {
        let within = |bound: f64| match self.bound {
            Bound::AtMost(_) => value <= bound,
            Bound::AtLeast(_) => value >= bound,
        };
        let (Bound::AtMost(bound) | Bound::AtLeast(bound)) = self.bound;
        match self.aim {
            _ if !within(bound) => BudgetStatus::Missed,
            Some(aim) if !within(aim) => BudgetStatus::Held,
            _ => BudgetStatus::Aim,
        }
    }
}

/// One key figure.
struct Tile {
    name: &'static str,
    value: f64,
    write: fn(f64) -> String,
    budget: Option<Budget>,
}

fn of(report: &Value) -> Vec<Tile> {
    let at_most = |bound| Some(Budget::at_most(bound));
    let tile = |name, path, write: fn(f64) -> String, budget| {
        number(report, path).map(|value| Tile { name, value, write, budget })
    };
    let rate = Budget { bound: Bound::AtLeast(REGISTRATIONS_PER_S), aim: None };
    let cpu = Budget { bound: Bound::AtMost(1.5), aim: Some(1.25) };
    [
        tile("Devices lost", "lost", plain, at_most(0.0)),
        tile("Registrations per second", "registrations_per_s", plain, Some(rate)),
        tile("99 % registered within", "p99_ms", millis, at_most(P99_MS)),
        tile("Server CPU against the floor", "ratio/cpu", times, Some(cpu)),
        tile("Memory against the floor", "ratio/rss", times, at_most(0.35)),
        tile("Redis commands per registration", "redis_commands_per_registration", plain, at_most(2.0)),
        tile("Devices registered", "registered", plain, None),
        tile("Duration", "seconds", seconds, None),
        tile("Half registered within", "p50_ms", millis, None),
        tile("Server CPU per registration", "server_cpu_us_per_registration", micros, None),
        tile("Load CPU per registration", "load_cpu_us_per_registration", micros, None),
        tile("Memory per idle device", "rss_per_device_kib", kibibytes, None),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Number of budgets met, and of budgets with figures.
pub fn held(report: &Value) -> (usize, usize) {
    let standings: Vec<BudgetStatus> =
        of(report).iter().filter_map(|tile| Some(tile.budget.as_ref()?.status(tile.value))).collect();
    (standings.iter().filter(|status| **status != BudgetStatus::Missed).count(), standings.len())
}

/// The tiles; empty if there is no figure.
pub fn section(report: &Value) -> String {
    let (budgeted, others): (Vec<Tile>, Vec<Tile>) = of(report).into_iter().partition(|tile| tile.budget.is_some());
    let list = |class, tiles: Vec<Tile>| match tiles.as_slice() {
        [] => String::new(),
        tiles => format!("<dl class=\"{class}\">{}</dl>\n", joined(tiles.iter().map(Tile::html))),
    };
    list("tiles", budgeted) + &list("tiles small", others)
}

impl Tile {
    fn html(&self) -> String {
        let Self { name, value, write, budget } = self;
        let value_text = write(*value);
        let Some(budget) = budget else {
            return format!("<div><dt>{name}</dt><dd><b>{value_text}</b></dd></div>\n");
        };
        let (class, shape, verdict) = match (budget.status(*value), budget.aim) {
            (BudgetStatus::Aim, None) => ("ok", "held", "held"),
            (BudgetStatus::Aim, Some(_)) => ("ok", "held", "held, and the aim"),
            (BudgetStatus::Held, _) => ("near", "near", "held, not the aim"),
            (BudgetStatus::Missed, _) => ("wrong", "missed", "missed"),
        };
        let (sign_of_bound, bound) = match budget.bound {
            Bound::AtMost(bound) => ("≤", bound),
            Bound::AtLeast(bound) => ("≥", bound),
        };
        let aim = budget.aim.map_or_else(String::new, |aim| format!(", aim {}", write(aim)));
        format!(
            "<div class=\"{class}\"><dt>{name}</dt><dd><b>{value_text}</b>{}<p>\
             <span class=\"verdict\">{} {verdict}</span> \
             <small>budget {sign_of_bound} {}{aim}</small></p></dd></div>\n",
            bar(*value, bound, budget.aim),
            sign(shape),
            write(bound),
        )
    }
}

/// The figure as a bar, with budget and aim as marks.
fn bar(value: f64, bound: f64, aim: Option<f64>) -> String {
    let highest = value.max(bound);
    let scale = if highest > 0.0 { highest * 1.12 } else { 1.0 };
    let stroke = |at: f64, class| {
        format!("<rect class=\"{class}\" x=\"{:.1}%\" width=\"2\" height=\"12\"/>", at / scale * 100.0)
    };
    format!(
        "<svg class=\"bar\" aria-hidden=\"true\"><rect class=\"all\" y=\"3\" width=\"100%\" height=\"6\" rx=\"3\"/>\
         <rect class=\"value\" y=\"3\" width=\"{:.1}%\" height=\"6\" rx=\"3\"/>{}{}</svg>",
        value / scale * 100.0,
        aim.map_or_else(String::new, |aim| stroke(aim, "aim")),
        stroke(bound, "bound"),
    )
}

/// A small sign, distinguished by its outline: `held`, `near`, `missed` or `unknown`.
pub fn sign(shape: &str) -> String {
    format!("<svg class=\"sign\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><use href=\"#{shape}\"/></svg>")
}

/// The drawings used by [`sign`], once per page.
pub const SIGNS: &str = "<svg class=\"signs\" width=\"0\" height=\"0\" aria-hidden=\"true\">\
<symbol id=\"held\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"8\"/>\
<path d=\"M4.3 8.3l2.6 2.6 4.9-5.4\"/></symbol>\
<symbol id=\"near\" viewBox=\"0 0 16 16\"><rect x=\".8\" y=\".8\" width=\"14.4\" height=\"14.4\" rx=\"2.5\"/>\
<path d=\"M4.3 8.3l2.6 2.6 4.9-5.4\"/></symbol>\
<symbol id=\"missed\" viewBox=\"0 0 16 16\"><path class=\"body\" d=\"M8 .3 16 15.2H0Z\"/>\
<path d=\"M8 5.6v4.6M8 12.2v1.2\"/></symbol>\
<symbol id=\"unknown\" viewBox=\"0 0 16 16\"><circle class=\"ring\" cx=\"8\" cy=\"8\" r=\"6.8\"/>\
<path class=\"dash\" d=\"M5 8h6\"/></symbol>\
</svg>";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_budget_is_held_up_to_its_bound() {
        let report =
            json!({ "lost": 0, "p99_ms": 1000, "registrations_per_s": 4999.9, "ratio": { "cpu": 1.3, "rss": 0.36 } });
        assert_eq!(held(&report), (3, 5));
        let html = section(&report);
        assert_eq!(html.matches("#held\"").count(), 2, "{html}");
        assert_eq!(html.matches("held, not the aim").count(), 1);
        assert_eq!(html.matches("</svg> missed").count(), 2);
    }

    #[test]
    fn the_aim_is_told_apart_from_the_budget() {
        let cpu = |value: f64| section(&json!({ "ratio": { "cpu": value } }));
        assert!(cpu(1.25).contains("held, and the aim"));
        assert!(cpu(1.5).contains("held, not the aim"));
        assert!(cpu(1.51).contains("</svg> missed"));
    }

    #[test]
    fn no_figure_makes_no_tile() {
        assert_eq!(section(&json!({ "lost": null, "ratio": {}, "seconds": "soon" })), "");
        assert_eq!(held(&json!({})), (0, 0));
    }
}
