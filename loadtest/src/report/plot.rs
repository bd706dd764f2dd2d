//! One plot as a figure with inline SVG: lines, areas and steps over one horizontal axis.
//!
//! Colours are in the style sheet, by class, so that one drawing serves light, dark and print. `hover.js` shows the
//! values under the pointer from the attribute `data-hover`; without the script the summary above the plot remains.

use serde_json::{Value, json};

use super::axis::Axis;
use super::read::{escape, joined};

// The drawing area and its margins, in units of the view box.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 244.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
/// Margin for the names of the series at the ends of their lines.
const NAMES: f64 = 86.0;
/// Margin for the name of the mark.
const TOP: f64 = 26.0;
const BOTTOM: f64 = 44.0;

/// Shortest distance between names.
const NAME_HEIGHT: f64 = 16.0;

/// How a series is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A line from value to value.
    Line,
    /// The same, filled down to the axis.
    Area,
    /// Steps: each value holds since the previous position, for counts over an interval.
    Steps,
}

/// One series of values.
pub struct Series {
    /// Shown at the end of the line if there are several.
    pub name: &'static str,
    /// CSS class that sets its colour.
    pub class: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// One value per position; the line is interrupted where there is none.
    pub values: Vec<Option<f64>>,
}

/// A reference line across the plot.
pub struct Mark {
    /// Its value.
    pub value: f64,
    /// Its name, as HTML.
    pub name: String,
}

/// A plot with at least one value.
pub struct Plot {
    /// Identifier, unique on the page.
    pub id: &'static str,
    /// Title.
    pub title: &'static str,
    /// The content in one sentence, as HTML.
    pub summary: String,
    /// Unit of the horizontal axis.
    pub along: &'static str,
    /// Positions, ascending.
    pub positions: Vec<f64>,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Formats a position.
    pub write_x: fn(f64) -> String,
    /// Formats a value.
    pub write_y: fn(f64) -> String,
    /// The series, the last on top.
    pub series: Vec<Series>,
    /// Reference line.
    pub mark: Option<Mark>,
}

impl Plot {
    /// The plot as an HTML figure.
    pub fn figure(&self) -> String {
        let Self { id, title, summary, .. } = self;
        let factors = if self.y.is_logarithmic() { " <small>log scale</small>" } else { "" };
        format!(
            "<figure id=\"{id}\"><figcaption><h3>{title}{factors}</h3><output>{summary}</output></figcaption>\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" tabindex=\"0\" aria-labelledby=\"{id}-t {id}-d\" \
             data-hover=\"{}\"><title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{summary}</desc>\n\
             {}{}{}{}<g class=\"cursor\"></g></svg></figure>\n",
            escape(&self.hover().to_string()),
            self.grid(),
            joined(self.series.iter().map(|series| self.draw(series))),
            self.marked(),
            self.names(),
        )
    }

    fn right(&self) -> f64 {
        if self.series.len() > 1 { WIDTH - NAMES } else { WIDTH - RIGHT }
    }

    fn left_of(&self, position: f64) -> f64 {
        LEFT + self.x.at(position) * (self.right() - LEFT)
    }

    fn top_of(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.at(value) * (HEIGHT - BOTTOM - TOP)
    }

    fn grid(&self) -> String {
        let (right, foot) = (self.right(), HEIGHT - BOTTOM);
        let rows = self.y.ticks.iter().map(|tick| {
            let (y, text) = (self.top_of(*tick), (self.write_y)(*tick));
            let name = format!("<text class=\"y\" x=\"{}\" y=\"{:.1}\">{text}</text>\n", LEFT - 7.0, y + 4.5);
            format!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>{name}")
        });
        let columns = self.x.ticks.iter().map(|tick| {
            let (x, text) = (self.left_of(*tick), (self.write_x)(*tick));
            let name = format!("<text class=\"x\" x=\"{x:.1}\" y=\"{}\">{text}</text>\n", foot + 19.0);
            format!("<path class=\"tick\" d=\"M{x:.1} {foot}v4\"/>{name}")
        });
        let along = format!("<text class=\"along\" x=\"{right}\" y=\"{}\">{}</text>\n", HEIGHT - 5.0, self.along);
        joined(rows.chain(columns)) + &format!("<path class=\"foot\" d=\"M{LEFT} {foot}H{right}\"/>") + &along
    }

    /// The uninterrupted parts of a series, as points of the drawing area.
    fn stretches(&self, series: &Series) -> Vec<Vec<(f64, f64)>> {
        let mut all = vec![Vec::new()];
        for (index, (position, value)) in self.positions.iter().zip(&series.values).enumerate() {
            let Some(value) = value else {
                all.push(Vec::new());
                continue;
            };
            let (x, y) = (self.left_of(*position), self.top_of(*value));
            let Some(stretch) = all.last_mut() else { continue };
            if series.shape == Shape::Steps {
                let since = index.checked_sub(1).and_then(|before| self.positions.get(before)).copied();
                stretch.push((self.left_of(since.unwrap_or(0.0)), y));
            }
            stretch.push((x, y));
        }
        all.retain(|stretch| !stretch.is_empty());
        all
    }

    fn draw(&self, series: &Series) -> String {
        let (class, foot) = (series.class, HEIGHT - BOTTOM);
        joined(self.stretches(series).into_iter().map(|points| {
            let line = joined(points.iter().enumerate().map(|(index, (x, y))| {
                let command = if index == 0 { 'M' } else { 'L' };
                format!("{command}{x:.1} {y:.1}")
            }));
            let (Some((first, y)), Some((last, _))) = (points.first(), points.last()) else { return String::new() };
            if points.len() == 1 {
                return format!("<circle class=\"dot {class}\" cx=\"{first:.1}\" cy=\"{y:.1}\" r=\"4\"/>\n");
            }
            let fill = if series.shape == Shape::Line {
                String::new()
            } else {
                format!("<path class=\"fill {class}\" d=\"{line}L{last:.1} {foot}L{first:.1} {foot}Z\"/>")
            };
            format!("{fill}<path class=\"line {class}\" d=\"{line}\"/>\n")
        }))
    }

    fn marked(&self) -> String {
        let Some(Mark { value, name }) = &self.mark else { return String::new() };
        let (y, right) = (self.top_of(*value), self.right());
        // Its name is above the drawing area, where no line crosses it.
        format!(
            "<path class=\"mark\" d=\"M{LEFT} {y:.1}H{right}M{LEFT} 9h26\"/>\
             <text class=\"marked\" x=\"{}\" y=\"13.5\">{name}</text>\n",
            LEFT + 32.0
        )
    }

    /// Names at the ends of several lines, moved apart where they would overlap.
    fn names(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let mut ends: Vec<(f64, &Series)> = self
            .series
            .iter()
            .filter_map(|series| Some((self.top_of(series.values.iter().rev().find_map(|value| *value)?), series)))
            .collect();
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut free = TOP;
        for (y, _) in &mut ends {
            *y = y.max(free);
            free = *y + NAME_HEIGHT;
        }
        let mut free = HEIGHT - BOTTOM;
        for (y, _) in ends.iter_mut().rev() {
            *y = y.min(free);
            free = *y - NAME_HEIGHT;
        }
        joined(ends.into_iter().map(|(y, Series { name, class, .. })| {
            format!("<text class=\"name {class}\" x=\"{}\" y=\"{:.1}\">{name}</text>\n", self.right() + 7.0, y + 4.5)
        }))
    }

    /// For each position: its coordinate, the text to show, and the dots with height and class.
    fn hover(&self) -> Value {
        let stops = self.positions.iter().enumerate().filter_map(|(index, position)| {
            let values: Vec<(&Series, f64)> = self
                .series
                .iter()
                .filter_map(|series| Some((series, series.values.get(index).copied().flatten()?)))
                .collect();
            let dots: Vec<Value> =
                values.iter().map(|(series, value)| json!([tenths(self.top_of(*value)), series.class])).collect();
            let text: Vec<String> =
                values.iter().map(|(series, value)| format!("{} {}", series.name, (self.write_y)(*value))).collect();
            let text = format!("{}: {}", (self.write_x)(*position), text.join(", "));
            (!values.is_empty()).then(|| json!([tenths(self.left_of(*position)), text, dots]))
        });
        json!({ "top": TOP, "foot": HEIGHT - BOTTOM, "width": WIDTH, "stops": stops.collect::<Vec<_>>() })
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
