//! A value over time as an SVG line: small, inline, without a script.

use std::fmt::Write;

use maud::{Markup, html};

use crate::{
    model::reading::Value,
    store::{Point, Step},
    time::{DAY_MS, HOUR_MS, MINUTE_MS, UnixMs},
};

/// Size of a chart in its own units; as many columns as it is wide.
const SIZE: (usize, usize) = (240, 44);

/// A span of time that is charted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    Hour,
    Day,
    Week,
    Month,
}

impl Span {
    pub(super) const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Its length in milliseconds.
    pub(super) fn length(self) -> i64 {
        match self {
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
            Self::Week => 7 * DAY_MS,
            Self::Month => 30 * DAY_MS,
        }
    }

    /// What it is drawn from.
    pub(super) fn step(self) -> Step {
        match self {
            Self::Hour => Step::Beat,
            Self::Day => Step::Minute,
            Self::Week | Self::Month => Step::Hour,
        }
    }

    /// What it is called.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// Silence after which the line is broken.
    fn gap(self) -> i64 {
        match self {
            Self::Hour => MINUTE_MS,
            Self::Day => 10 * MINUTE_MS,
            Self::Week | Self::Month => 3 * HOUR_MS,
        }
    }
}

/// The chart of `value` over the span that ends at `now`. The line goes on over silence of up to `late_after_ms`.
pub(super) fn chart(value: Value, span: Span, now: UnixMs, late_after_ms: i64, points: &[Point]) -> Markup {
    let from = now.plus(-span.length());
    let columns = columns(value, span, from, points);
    let gap = span.gap().max(late_after_ms).max(2 * span.length() / 240);
    let numbers: Vec<f64> = columns.iter().flatten().map(|(_, number)| *number).collect();
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let digits = value.decimals();
    let (width, height) = SIZE;
    html! {
        figure.chart {
            @if numbers.is_empty() {
                div.nothing { "no values in the last " (span.label()) }
            } @else {
                @let (low, high, unit) = (format!("{least:.digits$}"), format!("{most:.digits$}"), value.unit());
                @let said = if low == high { format!("{low} {unit}") } else { format!("{low} to {high} {unit}") };
                svg viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" role="img"
                    aria-label={ (value.label()) " in the last " (span.label()) ": " (said) } {
                    path d=(path(&columns, gap, range(value, least, most))) {}
                }
                figcaption { (span.label()) " " span.range { (said) } }
            }
        }
    }
}

/// For each column the mean of the points in it, with the time of the first.
fn columns(value: Value, span: Span, from: UnixMs, points: &[Point]) -> Vec<Option<(UnixMs, f64)>> {
    let mut columns: Vec<Option<(UnixMs, f64, f64)>> = vec![None; SIZE.0];
    let width = i64::try_from(SIZE.0).unwrap_or(1);
    for point in points {
        let Some(number) = point.mean.get(value as usize).copied().flatten() else { continue };
        let place =
            usize::try_from(point.at.since(from) * width / span.length()).unwrap_or(0).min(SIZE.0 - 1);
        if let Some(column) = columns.get_mut(place) {
            let (at, sum, count) = column.unwrap_or((point.at, 0.0, 0.0));
            *column = Some((at, sum + value.in_units(number), count + 1.0));
        }
    }
    columns.into_iter().map(|column| column.map(|(at, sum, count)| (at, sum / count))).collect()
}

/// The numbers at the bottom and at the top. What is a percentage keeps its scale, other values fill the chart.
fn range(value: Value, least: f64, most: f64) -> (f64, f64) {
    if let Some(ceiling) = value.ceiling() {
        return (0.0, ceiling);
    }
    let margin = ((most - least) * 0.1).max(0.5);
    (least - margin, most + margin)
}

fn path(columns: &[Option<(UnixMs, f64)>], gap: i64, (bottom, top): (f64, f64)) -> String {
    let mut path = String::new();
    let mut before: Option<UnixMs> = None;
    for (x, column) in columns.iter().enumerate() {
        let Some((at, number)) = column else { continue };
        let joined = before.is_some_and(|before| at.since(before) <= gap);
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let (x, height) = (x as f64 + 0.5, SIZE.1 as f64);
        let y = height - 2.0 - (number - bottom) / (top - bottom) * (height - 4.0);
        // A point of its own is a short line.
        let _ = if joined { write!(path, "L{x:.1} {y:.1}") } else { write!(path, "M{x:.1} {y:.1}h.5") };
        before = Some(*at);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reading::VALUES;

    fn points(numbers: &[(i64, f64)]) -> Vec<Point> {
        let point = |(at, number): &(i64, f64)| {
            let mut mean = [None; VALUES];
            mean[Value::Temp as usize] = Some(*number);
            Point { at: UnixMs(*at), beats: 1, mean, max: [None; VALUES], beat: None }
        };
        numbers.iter().map(point).collect()
    }

    #[test]
    fn silence_breaks_the_line() {
        let numbers: Vec<_> =
            (0..720).filter(|n| !(200..400).contains(n)).map(|n| (n * 5000, 450.0)).collect();
        let columns = columns(Value::Temp, Span::Hour, UnixMs(0), &points(&numbers));
        let path = path(&columns, Span::Hour.gap(), (40.0, 50.0));
        assert_eq!(path.matches('M').count(), 2, "{path}");
    }

    #[test]
    fn the_line_of_a_slow_device_is_whole() {
        // A heartbeat every 5 minutes.
        let points = points(&(0..12).map(|n| (n * 300_000, 450.0)).collect::<Vec<_>>());
        let lines = |late_after_ms| {
            let drawn = chart(Value::Temp, Span::Hour, UnixMs(HOUR_MS), late_after_ms, &points).into_string();
            drawn.matches('M').count()
        };
        assert_eq!((lines(15_000), lines(1_050_000)), (12, 1));
    }

    #[test]
    fn a_week_of_hours_is_one_line() {
        assert_eq!(Span::Week.step(), Step::Hour);
        let numbers: Vec<_> = (0..168).map(|hour| (hour * HOUR_MS, 450.0)).collect();
        let drawn = chart(Value::Temp, Span::Week, UnixMs(7 * DAY_MS), 0, &points(&numbers)).into_string();
        assert_eq!((drawn.matches('M').count(), drawn.matches('L').count()), (1, 167), "{drawn}");
        assert!(drawn.contains("Temperature in the last week: 45.0 °C"), "{drawn}");
    }

    #[test]
    fn an_empty_history_is_said_in_words() {
        let drawn = chart(Value::Temp, Span::Day, UnixMs(DAY_MS), 0, &[]).into_string();
        assert!(drawn.contains("no values in the last day"), "{drawn}");
    }

    #[test]
    fn one_value_is_drawn_and_named() {
        let drawn =
            chart(Value::Temp, Span::Hour, UnixMs(HOUR_MS), 0, &points(&[(1000, 488.0)])).into_string();
        assert!(drawn.contains(">48.8 °C<") && drawn.contains("M0.5"), "{drawn}");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
}
