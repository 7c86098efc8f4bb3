//! Drawing: values become places on a plane, here and not in the browser. A chart holds the same numbers as a table.

use super::super::text::Text;

/// The plane, in units of the picture.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;
/// A row of horizontal bars.
const ROW: f64 = 34.0;
/// Where horizontal bars begin, after what they are called.
const NAMES: f64 = 185.0;
/// So many lines are drawn across.
const STEPS: u32 = 4;
/// So many days are named below.
const NAMED: usize = 5;

/// What the numbers are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    /// A count or sum.
    Number,
    /// A share, from 0 to 1.
    Share,
    /// A time in milliseconds.
    Millis,
}

impl Unit {
    /// A value in words.
    pub(super) fn label(self, value: f64) -> String {
        match self {
            Self::Share => format!("{} %", short(value * 100.0)),
            Self::Number => short(value),
            Self::Millis if value < 1000.0 => format!("{} ms", short(value)),
            Self::Millis if value < 120_000.0 => format!("{} s", short(value / 1000.0)),
            Self::Millis if value < 7_200_000.0 => format!("{} min", short(value / 60_000.0)),
            Self::Millis => format!("{} h", short(value / 3_600_000.0)),
        }
    }

    /// The top of the plane: round, and never less than the largest.
    fn top(self, largest: f64) -> f64 {
        if self == Self::Share {
            return 1.0;
        }
        if largest <= 0.0 {
            return 1.0;
        }
        let step = largest / f64::from(STEPS);
        let power = 10f64.powf(step.log10().floor());
        let found = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|round| *round >= step);
        found.unwrap_or(step) * f64::from(STEPS)
    }
}

/// Three digits, and no more than needed.
fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        large if large >= 1e6 => (value / 1e6, "M"),
        large if large >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if value.abs() >= 100.0 { 0 } else { usize::from(value.abs() < 10.0) + 1 };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// Some values, one for each label of the chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// What they are called.
    pub(super) label: String,
    /// The colour's name.
    pub(super) tone: &'static str,
    /// Each; `None` where nothing is known.
    pub(super) values: Vec<Option<f64>>,
}

/// A rectangle, and what it stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    /// Its place.
    pub(super) x: String,
    /// Its place.
    pub(super) y: String,
    /// Its size.
    pub(super) width: String,
    /// Its size.
    pub(super) height: String,
    /// The colour's name.
    pub(super) tone: &'static str,
    /// What it says.
    pub(super) said: String,
}

/// A line, and the points on it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// Its way; a gap where nothing is known.
    pub(super) way: String,
    /// Each point's place and what it says.
    pub(super) points: Vec<(String, String, String)>,
    /// The colour's name.
    pub(super) tone: &'static str,
}

/// A text in the picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    /// Its place.
    pub(super) x: String,
    /// Its place.
    pub(super) y: String,
    /// What it says.
    pub(super) said: String,
}

/// A chart, ready to be drawn, and its numbers.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// What it is of.
    pub(super) title: Text,
    /// More of that.
    pub(super) about: Option<Text>,
    /// What its values are of.
    pub(super) unit: Unit,
    /// What each value belongs to.
    pub(super) labels: Vec<String>,
    /// The values.
    pub(super) series: Vec<Series>,
    /// How high the picture is.
    pub(super) height: f64,
    /// Its rectangles.
    pub(super) bars: Vec<Bar>,
    /// Its lines.
    pub(super) lines: Vec<Line>,
    /// The heights of the lines across, and what they stand for.
    pub(super) levels: Vec<Mark>,
    /// What is written below, or before each row.
    pub(super) names: Vec<Mark>,
    /// Whether its bars lie.
    pub(super) is_lying: bool,
}

fn at(value: f64) -> String {
    format!("{value:.1}")
}

impl Chart {
    fn empty(title: Text, about: Option<Text>, unit: Unit, labels: Vec<String>, series: Vec<Series>) -> Self {
        Self {
            title,
            about,
            unit,
            labels,
            series,
            height: HEIGHT,
            bars: Vec::new(),
            lines: Vec::new(),
            levels: Vec::new(),
            names: Vec::new(),
            is_lying: false,
        }
    }

    /// One that stands the series upon each other.
    pub(super) fn stacked(
        title: Text,
        about: Option<Text>,
        unit: Unit,
        labels: Vec<String>,
        series: Vec<Series>,
    ) -> Self {
        let mut chart = Self::empty(title, about, unit, labels, series);
        let sums = (0..chart.labels.len()).map(|at| chart.series.iter().filter_map(|one| one.values[at]).sum::<f64>());
        let top = unit.top(sums.fold(0.0, f64::max));
        chart.rule(top);
        let step = (WIDTH - LEFT - RIGHT) / chart.labels.len().max(1) as f64;
        for (place, label) in chart.labels.iter().enumerate() {
            let mut below = 0.0;
            for one in &chart.series {
                let value = one.values[place].unwrap_or_default();
                if value <= 0.0 {
                    continue;
                }
                let (low, high) = (level(below, top), level(below + value, top));
                below += value;
                chart.bars.push(Bar {
                    x: at(LEFT + step * place as f64 + step * 0.1),
                    y: at(high),
                    width: at(step * 0.8),
                    height: at((low - high).max(0.5)),
                    tone: one.tone,
                    said: format!("{label} · {} {}", unit.label(value), one.label),
                });
            }
        }
        chart
    }

    /// One with a line for each series.
    pub(super) fn lines(
        title: Text,
        about: Option<Text>,
        unit: Unit,
        labels: Vec<String>,
        series: Vec<Series>,
    ) -> Self {
        let mut chart = Self::empty(title, about, unit, labels, series);
        let values = chart.series.iter().flat_map(|one| one.values.iter().copied().flatten());
        let top = unit.top(values.fold(0.0, f64::max));
        chart.rule(top);
        let step = (WIDTH - LEFT - RIGHT) / chart.labels.len().max(1) as f64;
        for one in &chart.series {
            let mut line = Line { way: String::new(), points: Vec::new(), tone: one.tone };
            let mut is_new = true;
            for (place, value) in one.values.iter().enumerate() {
                let Some(value) = *value else {
                    is_new = true;
                    continue;
                };
                let (x, y) = (at(LEFT + step * (place as f64 + 0.5)), at(level(value, top)));
                line.way.push_str(&format!("{}{x} {y}", if is_new { "M" } else { "L" }));
                is_new = false;
                let said = format!("{} · {} {}", chart.labels[place], unit.label(value), one.label);
                line.points.push((x, y, said));
            }
            chart.lines.push(line);
        }
        chart
    }

    /// One with lying bars, a row for each label.
    pub(super) fn bars(title: Text, unit: Unit, labels: Vec<String>, series: Vec<Series>) -> Self {
        let mut chart = Self::empty(title, None, unit, labels, series);
        chart.is_lying = true;
        chart.height = TOP + ROW * chart.labels.len().max(1) as f64;
        let values = chart.series.iter().flat_map(|one| one.values.iter().copied().flatten());
        let largest = values.fold(0.0, f64::max).max(1.0);
        let room = WIDTH - NAMES - 66.0;
        for (row, label) in chart.labels.iter().enumerate() {
            let top = TOP + ROW * row as f64;
            let name: String = label.chars().take(24).collect();
            chart.names.push(Mark { x: at(NAMES - 10.0), y: at(top + 17.0), said: name });
            let thick = (ROW - 8.0) / chart.series.len().max(1) as f64;
            for (number, one) in chart.series.iter().enumerate() {
                let Some(value) = one.values[row] else { continue };
                let y = top + thick * number as f64;
                let width = (room * value / largest).max(1.0);
                chart.bars.push(Bar {
                    x: at(NAMES),
                    y: at(y),
                    width: at(width),
                    height: at(thick - 2.0),
                    tone: one.tone,
                    said: format!("{label} · {} {}", unit.label(value), one.label),
                });
                chart.levels.push(Mark { x: at(NAMES + width + 6.0), y: at(y + thick - 3.0), said: unit.label(value) });
            }
        }
        chart
    }

    /// Draws the lines across and names some days.
    fn rule(&mut self, top: f64) {
        for step in 0..=STEPS {
            let value = top * f64::from(step) / f64::from(STEPS);
            self.levels.push(Mark { x: at(LEFT - 8.0), y: at(level(value, top)), said: self.unit.label(value) });
        }
        let many = self.labels.len().max(1);
        let step = (WIDTH - LEFT - RIGHT) / many as f64;
        for (place, label) in self.labels.iter().enumerate().step_by(many.div_ceil(NAMED)) {
            let said = label.get(5..).unwrap_or(label).to_owned();
            self.names.push(Mark { x: at(LEFT + step * (place as f64 + 0.5)), y: at(HEIGHT - 6.0), said });
        }
    }

    /// A value of a series, in words.
    pub(super) fn told(&self, one: &Series, place: &usize) -> String {
        one.values.get(*place).copied().flatten().map_or_else(|| "–".to_owned(), |value| self.unit.label(value))
    }
}

fn level(value: f64, top: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value / top).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::dashboard::text::Language;

    fn title() -> Text {
        Language::English.texts().charts.credits
    }

    #[test]
    fn values_are_told_in_few_digits() {
        let told: Vec<String> = [0.0, 0.25, 7.0, 27.5, 999.4, 12_345.0, 2_500_000.0].into_iter().map(short).collect();
        assert_eq!(told, ["0", "0.25", "7", "27.5", "999", "12.3k", "2.5M"]);
        let told: Vec<String> =
            [12.0, 1500.0, 180_000.0, 7_200_000.0].into_iter().map(|millis| Unit::Millis.label(millis)).collect();
        assert_eq!(told, ["12 ms", "1.5 s", "3 min", "2 h"]);
        assert_eq!(Unit::Share.label(0.975), "97.5 %");
    }

    #[test]
    fn the_top_is_round_and_above_all() {
        for (largest, top) in [(0.0, 1.0), (1.0, 1.0), (3.0, 4.0), (7.0, 8.0), (99.0, 100.0), (101.0, 200.0)] {
            assert!((Unit::Number.top(largest) - top).abs() < 1e-9, "{largest}: {}", Unit::Number.top(largest));
        }
        assert!((Unit::Share.top(0.1) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_known_is_a_gap_and_what_is_stacked_stands_on_what_is_below() {
        let labels: Vec<String> = ["2026-04-01", "2026-04-02", "2026-04-03"].map(str::to_owned).to_vec();
        let one = |values: [Option<f64>; 3]| Series { label: "x".into(), tone: "good", values: values.to_vec() };
        let lines = Chart::lines(title(), None, Unit::Number, labels.clone(), vec![one([Some(1.0), None, Some(2.0)])]);
        assert_eq!((lines.lines[0].way.matches('M').count(), lines.lines[0].points.len()), (2, 2));
        let stacked =
            Chart::stacked(title(), None, Unit::Number, labels, vec![one([Some(1.0); 3]), one([Some(2.0); 3])]);
        let [below, above] = &stacked.bars[..2] else { panic!("{:?}", stacked.bars) };
        let number = |text: &str| text.parse::<f64>().unwrap_or_default();
        assert!((number(&above.y) + number(&above.height) - number(&below.y)).abs() < 0.2, "{above:?} {below:?}");
        assert_eq!(stacked.told(&stacked.series[0], &2), "1");
    }
}
