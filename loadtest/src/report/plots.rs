//! Selects the plots of a report and their data from its samples.
//!
//! A plot without data is left out.

use serde_json::Value;

use super::axis::Axis;
use super::plot::{Mark, Plot, Series, Shape};
use super::read::{mebibytes, millis, number, percent, plain, rows, seconds};
use super::tiles::{P99_MS, REGISTRATIONS_PER_S};

/// All plots that the report has data for.
pub fn all(report: &Value) -> Vec<String> {
    let samples = Samples::of(report);
    let plots = [
        samples.rate(),
        samples.registered(number(report, "devices")),
        samples.latency(),
        distribution(report),
        samples.cpu(),
        samples.memory(),
        samples.redis(),
    ];
    plots.into_iter().flatten().map(|plot| plot.figure()).collect()
}

/// The samples with increasing time.
struct Samples<'a> {
    times: Vec<f64>,
    rows: Vec<&'a Value>,
}

impl<'a> Samples<'a> {
    fn of(report: &'a Value) -> Self {
        let mut samples = Self { times: Vec::new(), rows: Vec::new() };
        for row in rows(report, "samples") {
            let Some(at) = number(row, "at_s") else { continue };
            if samples.times.last().is_none_or(|last| *last < at) {
                samples.times.push(at);
                samples.rows.push(row);
            }
        }
        samples
    }

    fn values(&self, member: &str) -> Vec<Option<f64>> {
        self.rows.iter().map(|row| number(row, member)).collect()
    }

    /// Rate of increase of a total over the interval before each sample; none where it decreases, because it was
    /// reset.
    fn rises(&self, member: &str, from_zero: bool) -> Vec<Option<f64>> {
        let mut before = from_zero.then_some((0.0, 0.0));
        let totals = self.times.iter().copied().zip(self.values(member));
        totals
            .map(|(at, total)| {
                let now = total.map(|total| (at, total));
                let rise = before.zip(now).map(|(old, new)| (new.1 - old.1) / (new.0 - old.0));
                before = now;
                rise.filter(|rise| rise.is_finite() && *rise >= 0.0)
            })
            .collect()
    }

    fn plot(&self, id: &'static str, title: &'static str, y: Axis, series: Vec<Series>) -> Plot {
        Plot {
            id,
            title,
            summary: String::new(),
            along: "since the start",
            positions: self.times.clone(),
            x: Axis::up_to(self.times.last().copied().unwrap_or(0.0)),
            y,
            write_x: seconds,
            write_y: plain,
            series,
            mark: None,
        }
    }

    fn rate(&self) -> Option<Plot> {
        let values = self.rises("registered", true);
        let highest = highest(&values)?;
        // A budget far above all values would compress the plot.
        let mark = (highest * 2.0 >= REGISTRATIONS_PER_S)
            .then(|| Mark { value: REGISTRATIONS_PER_S, name: format!("budget ≥ {}", plain(REGISTRATIONS_PER_S)) });
        let y = Axis::beyond(highest.max(mark.as_ref().map_or(0.0, |mark| mark.value)));
        let series = vec![Series { name: "registrations/s", class: "arrive", shape: Shape::Steps, values }];
        let summary = format!("At most {} in a second.", plain(highest));
        Some(Plot { summary, mark, ..self.plot("rate", "Registrations per second", y, series) })
    }

    fn registered(&self, devices: Option<f64>) -> Option<Plot> {
        let names = [("open", "open", "side"), ("registered", "registered", "arrive"), ("failed", "failed", "wrong")];
        let mut series = Vec::new();
        for (member, name, class) in names {
            let values = self.values(member);
            // If nothing failed, the summary says so and no line is drawn.
            if highest(&values).is_some_and(|highest| highest > 0.0 || member == "registered") {
                let shape = if member == "registered" { Shape::Area } else { Shape::Line };
                series.push(Series { name, class, shape, values });
            }
        }
        let at_end = |member| last(&self.values(member));
        let failed = at_end("failed").map_or_else(String::new, |failed| format!(", {} attempts failed", plain(failed)));
        let summary = format!("{} registered at the end{failed}.", plain(at_end("registered")?));
        let mark = devices.map(|devices| Mark { value: devices, name: format!("{} devices", plain(devices)) });
        let above = series.iter().filter_map(|series| highest(&series.values)).fold(devices.unwrap_or(0.0), f64::max);
        Some(Plot { summary, mark, ..self.plot("registered", "Registered devices", Axis::beyond(above), series) })
    }

    fn latency(&self) -> Option<Plot> {
        let names = [
            ("max_ms", "max", "p-max"),
            ("p99_ms", "p99", "p-99"),
            ("p90_ms", "p90", "p-90"),
            ("p50_ms", "p50", "p-50"),
        ];
        let lines = names.map(|(member, name, class)| {
            let values = self.values(member);
            highest(&values).map(|_| Series { name, class, shape: Shape::Line, values })
        });
        let series: Vec<Series> = lines.into_iter().flatten().collect();
        let top = series.iter().filter_map(|series| highest(&series.values)).reduce(f64::max)?;
        let tops: Vec<String> = series
            .iter()
            .rev()
            .filter_map(|series| Some(format!("{} {}", series.name, millis(highest(&series.values)?))))
            .collect();
        let summary = format!("Peaks: {}.", tops.join(", "));
        let mark = latency_mark(top);
        let every = series.iter().flat_map(|series| series.values.iter().flatten()).copied();
        let y = Axis::fitting(every.chain(mark.as_ref().map(|mark| mark.value)));
        let plot = self.plot("latency", "Time to register, by interval", y, series);
        Some(Plot { summary, mark, write_y: millis, ..plot })
    }

    fn cpu(&self) -> Option<Plot> {
        let values = self.values("server_cpu_percent");
        let highest = highest(&values)?;
        let series = vec![Series { name: "processor", class: "server", shape: Shape::Steps, values }];
        let summary = format!("At most {} of one core.", percent(highest));
        let plot = self.plot("cpu", "Server processor time", Axis::beyond(highest), series);
        Some(Plot { summary, write_y: percent, ..plot })
    }

    fn memory(&self) -> Option<Plot> {
        let values: Vec<Option<f64>> =
            self.values("server_rss_kib").into_iter().map(|kib| kib.map(|kib| kib / 1024.0)).collect();
        let (highest, last) = (highest(&values)?, last(&values)?);
        let series = vec![Series { name: "RSS", class: "server", shape: Shape::Area, values }];
        let end = if last < highest { format!(", {} at the end", mebibytes(last)) } else { String::new() };
        let summary = format!("At most {}{end}.", mebibytes(highest));
        let plot = self.plot("memory", "Server memory (RSS)", Axis::beyond(highest), series);
        Some(Plot { summary, write_y: mebibytes, ..plot })
    }

    fn redis(&self) -> Option<Plot> {
        // Commands counted before the storm do not belong to it.
        let values = self.rises("redis_commands", false);
        let highest = highest(&values)?;
        let series = vec![Series { name: "commands/s", class: "store", shape: Shape::Steps, values }];
        let summary = format!("At most {} in a second.", plain(highest));
        Some(Plot { summary, ..self.plot("redis", "Redis commands per second", Axis::beyond(highest), series) })
    }
}

/// Latency by percentile; each further nine takes the same length.
fn distribution(report: &Value) -> Option<Plot> {
    let mut points: Vec<(f64, f64)> = rows(report, "percentiles")
        .iter()
        .filter_map(|row| Some((number(row, "percentile").filter(|at| *at <= 100.0)?, number(row, "ms")?)))
        .collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (last, slowest) = *points.last()?;
    let mark = latency_mark(slowest);
    let parts: Vec<String> = points
        .iter()
        .filter(|(percentile, _)| [50.0, 99.0, 99.9].iter().any(|wanted| (percentile - wanted).abs() < 1e-9))
        .map(|(percentile, ms)| format!("{} within {}", write_percentile(*percentile), millis(*ms)))
        .collect();
    let parts = if parts.is_empty() { format!("The slowest took {}", millis(slowest)) } else { parts.join(", ") };
    // The scale starts at the median; the fastest values would compress the others.
    let upper = points.iter().filter(|point| point.0 >= last.min(50.0)).map(|point| point.1);
    Some(Plot {
        id: "distribution",
        title: "Time to register, by percentile",
        summary: parts + ".",
        along: "of the registrations",
        x: Axis::percentiles(points.iter().map(|point| point.0)),
        y: Axis::fitting(upper.chain(mark.as_ref().map(|mark| mark.value))),
        positions: points.iter().map(|point| point.0).collect(),
        write_x: write_percentile,
        write_y: millis,
        series: vec![Series {
            name: "within",
            class: "p-99",
            shape: Shape::Area,
            values: points.iter().map(|point| Some(point.1)).collect(),
        }],
        mark,
    })
}

fn write_percentile(percentile: f64) -> String {
    if percentile >= 100.0 { "all".to_owned() } else { format!("{percentile}\u{a0}%") }
}

/// The budget of the 99th percentile, if the latencies are close to it.
fn latency_mark(highest: f64) -> Option<Mark> {
    (highest * 2.0 >= P99_MS).then(|| Mark { value: P99_MS, name: format!("p99 budget {}", millis(P99_MS)) })
}

fn highest(values: &[Option<f64>]) -> Option<f64> {
    values.iter().flatten().copied().reduce(f64::max)
}

fn last(values: &[Option<f64>]) -> Option<f64> {
    values.iter().rev().find_map(|value| *value)
}
