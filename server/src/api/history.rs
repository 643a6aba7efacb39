//! The history of one device: heartbeats, minutes or hours, as JSON or CSV.
//!
//! An answer may have megabytes. It is read and sent in small parts, so that neither many questions nor clients that read
//! slowly cost memory.

use std::{fmt::Write, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, Query as QueryString, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use jiff::Timestamp;
use serde::Deserialize;

use super::error;
use crate::{
    app::App,
    engine::read,
    limits::{HISTORY_ROWS_AT_ONCE, HISTORY_ROWS_MAX},
    model::{DeviceId, reading::Value},
    store::{Point, Result as Stored, Step},
    time::{DAY_MS, UnixMs},
};

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    step: Option<String>,
    from: Option<String>,
    to: Option<String>,
    format: Option<String>,
}

/// What is asked for, understood.
struct Question {
    step: Step,
    from: UnixMs,
    to: UnixMs,
    csv: bool,
}

/// Points of `[from, to)`, oldest first. If there are more than one answer holds, `next` is where to go on.
pub(super) async fn history(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    asked: Result<QueryString<Asked>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(QueryString(asked)) => asked,
        Err(rejection) => return error(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let question = match understand(&asked, app.clock.now().at) {
        Ok(question) => question,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    let Some(device) = read(&app.fleet).find(&id).map(|device| device.id) else {
        return error(StatusCode::NOT_FOUND, "no such device");
    };
    let Question { step, from, to, csv } = question;
    let next = app.read(move |read| read.place(device, step, from, to, HISTORY_ROWS_MAX)).await;
    let Ok(next) = next else { return unavailable() };
    // The first part before the answer: then a database that is away can still be said.
    let rest = Rest { app, device, step, from, to: next.unwrap_or(to), csv, next, begun: false };
    let Ok((first, rest)) = rest.part().await else { return unavailable() };
    let body = match rest {
        None => Body::from(first),
        Some(rest) => {
            let parts = stream::unfold(Some(rest), |rest| async {
                Some(match rest?.part().await {
                    Ok((part, rest)) => (Ok(part), rest),
                    // The connection is broken off: what has come is not taken for the whole.
                    Err(why) => (Err(why), None),
                })
            });
            Body::from_stream(futures_util::StreamExt::chain(stream::iter([Ok(first)]), parts))
        }
    };
    let kind = if csv { "text/csv; charset=utf-8" } else { "application/json" };
    let mut answer = ([(header::CONTENT_TYPE, kind)], body).into_response();
    if let Some(next) = next.filter(|_| csv) {
        answer.headers_mut().insert("x-next", HeaderValue::from(next.0));
    }
    answer
}

fn unavailable() -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "the database is not available")
}

/// What is still to be sent of an answer.
struct Rest {
    app: Arc<App>,
    device: DeviceId,
    step: Step,
    from: UnixMs,
    /// Exclusive: the end of this answer.
    to: UnixMs,
    csv: bool,
    /// Where the next answer begins.
    next: Option<UnixMs>,
    begun: bool,
}

impl Rest {
    /// The next part, and what is to be sent after it.
    async fn part(mut self) -> Stored<(String, Option<Self>)> {
        let Self { device, step, from, to, csv, begun, .. } = self;
        let asked = self.app.read(move |read| {
            let points = read.history(device, step, from, to, HISTORY_ROWS_AT_ONCE)?;
            let mut text = String::new();
            for (n, point) in points.iter().enumerate() {
                match csv {
                    true => write_csv(&mut text, point),
                    false => write_json(&mut text, point, n == 0 && !begun),
                }
            }
            let last = points.last().filter(|_| points.len() == HISTORY_ROWS_AT_ONCE);
            Ok((text, last.map(|point| point.at.plus(1))))
        });
        let (points, from) = asked.await?;
        let mut text = match (begun, csv) {
            (true, _) => String::new(),
            (false, true) => head(step),
            (false, false) => "{\"points\":[".to_owned(),
        };
        text.push_str(&points);
        if from.is_none() && !csv {
            let next = self.next.map_or("null".to_owned(), |next| next.0.to_string());
            let _ = write!(text, "],\"next\":{next}}}");
        }
        self.begun = true;
        Ok((text, from.map(|from| Self { from, ..self })))
    }
}

fn understand(asked: &Asked, now: UnixMs) -> Result<Question, String> {
    let step = match asked.step.as_deref() {
        None | Some("minute") => Step::Minute,
        Some("beat") => Step::Beat,
        Some("hour") => Step::Hour,
        Some(_) => return Err("step is beat, minute or hour".to_owned()),
    };
    let csv = match asked.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err("format is json or csv".to_owned()),
    };
    let to = asked.to.as_deref().map_or(Ok(now.plus(1)), time)?;
    let from = asked.from.as_deref().map_or(Ok(to.plus(-DAY_MS)), time)?;
    if from > to {
        return Err("from is later than to".to_owned());
    }
    Ok(Question { step, from, to, csv })
}

/// Milliseconds since 1970, or a time of RFC 3339.
fn time(text: &str) -> Result<UnixMs, String> {
    if let Ok(ms) = text.parse::<i64>() {
        return Ok(UnixMs(ms));
    }
    let parsed: Result<Timestamp, _> = text.parse();
    parsed.map(|time| UnixMs(time.as_millisecond())).map_err(|_| {
        "from and to are milliseconds since 1970, or times such as 2026-11-26T05:40:12Z".to_owned()
    })
}

fn mean(point: &Point, value: Value) -> Option<f64> {
    let mean = point.mean.get(value as usize).copied().flatten()?;
    // One digit more than single values have.
    let units = value.in_units(mean);
    Some((units * 1000.0).round() / 1000.0)
}

fn most(point: &Point, value: Value) -> Option<f64> {
    point.max.get(value as usize).copied().flatten().map(|max| value.in_units(f64::from(max)))
}

/// A number that may be missing. Stored integers in units are finite.
fn number(text: &mut String, number: Option<f64>) {
    let _ = match number {
        Some(number) => write!(text, "{number:?}"),
        None => write!(text, "null"),
    };
}

/// Numbers and fixed words only, so that nothing needs escapes.
fn write_json(text: &mut String, point: &Point, first: bool) {
    let comma = if first { "" } else { "," };
    let _ = write!(text, "{comma}{{\"at\":{},\"beats\":{}", point.at.0, point.beats);
    for value in Value::ALL {
        let _ = write!(text, ",\"{}\":", value.name());
        number(text, mean(point, value));
        if point.beat.is_none() {
            let _ = write!(text, ",\"{}_max\":", value.name());
            number(text, most(point, value));
        }
    }
    if let Some(beat) = &point.beat {
        let [sampled_at, start, seq] = [
            beat.sampled_at.map(|sampled_at| sampled_at.0.to_string()),
            beat.boot.map(|start| start.to_string()),
            beat.number.map(|seq| seq.to_string()),
        ]
        .map(|number| number.unwrap_or_else(|| "null".to_owned()));
        let _ = write!(
            text,
            ",\"sampled_at\":{sampled_at},\"start\":{start},\"seq\":{seq},\"replayed\":{}",
            beat.replayed
        );
        text.push_str(",\"latitude\":");
        number(text, beat.position.map(|(latitude, _)| degrees(latitude)));
        text.push_str(",\"longitude\":");
        number(text, beat.position.map(|(_, longitude)| degrees(longitude)));
    }
    text.push('}');
}

fn degrees(stored: i32) -> f64 {
    f64::from(stored) / 1e5
}

/// The names of the columns.
fn head(step: Step) -> String {
    let names = Value::ALL.map(Value::name);
    match step {
        Step::Beat => {
            let values = names.join(",");
            format!("time,beats,sampled_at,start,seq,replayed,latitude,longitude,{values}\n")
        }
        Step::Minute | Step::Hour => {
            let values: Vec<_> = names.iter().map(|name| format!("{name},{name}_max")).collect();
            format!("time,beats,{}\n", values.join(","))
        }
    }
}

/// Numbers and fixed words only, so that nothing needs quotes and no spreadsheet finds a formula.
fn write_csv(csv: &mut String, point: &Point) {
    let mut cell = |text: Option<String>| {
        csv.push_str(&text.unwrap_or_default());
        csv.push(',');
    };
    let text = |number: f64| number.to_string();
    match &point.beat {
        Some(beat) => {
            // Two heartbeats may be of one second.
            cell(Some(point.at.rfc3339_ms()));
            cell(Some(point.beats.to_string()));
            cell(beat.sampled_at.map(UnixMs::rfc3339_ms));
            cell(beat.boot.map(|start| start.to_string()));
            cell(beat.number.map(|seq| seq.to_string()));
            cell(Some(beat.replayed.to_string()));
            cell(beat.position.map(|(latitude, _)| text(degrees(latitude))));
            cell(beat.position.map(|(_, longitude)| text(degrees(longitude))));
        }
        None => {
            cell(Some(point.at.rfc3339()));
            cell(Some(point.beats.to_string()));
        }
    }
    for value in Value::ALL {
        cell(mean(point, value).map(text));
        if point.beat.is_none() {
            cell(most(point, value).map(text));
        }
    }
    // The last comma ends the line.
    csv.pop();
    csv.push('\n');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::BeatDetail;

    fn asked(from: Option<&str>, to: Option<&str>) -> Result<Question, String> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        understand(&Asked { step: None, from: text(from), to: text(to), format: None }, UnixMs(DAY_MS * 3))
    }

    #[test]
    fn the_last_day_is_the_default() {
        let question = asked(None, None).unwrap();
        assert_eq!(question.to.since(question.from), DAY_MS);
    }

    #[test]
    fn both_forms_of_times_are_understood_and_others_refused() {
        assert_eq!(asked(Some("1000"), Some("1970-01-01T00:00:02Z")).unwrap().to, UnixMs(2000));
        assert!(asked(Some("yesterday"), None).is_err());
        assert!(asked(Some("5"), Some("4")).is_err());
    }

    fn point(beat: Option<BeatDetail>) -> Point {
        let mut point = Point { at: UnixMs(1500), beats: 2, mean: [None; 9], max: [None; 9], beat };
        point.mean[Value::Temp as usize] = Some(488.5);
        point.max[Value::Temp as usize] = Some(490);
        point
    }

    fn as_json(point: &Point) -> serde_json::Value {
        let mut text = String::new();
        write_json(&mut text, point, true);
        serde_json::from_str(&text).unwrap()
    }

    fn as_csv(step: Step, point: &Point) -> Vec<(String, String)> {
        let (names, mut row) = (head(step), String::new());
        write_csv(&mut row, point);
        let cells = |line: &str| line.trim_end().split(',').map(str::to_owned).collect::<Vec<_>>();
        let (names, cells) = (cells(&names), cells(&row));
        assert_eq!(names.len(), cells.len(), "{names:?} {cells:?}");
        names.into_iter().zip(cells).filter(|(_, cell)| !cell.is_empty()).collect()
    }

    fn cells<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
        expected.iter().map(|(name, cell)| ((*name).to_owned(), (*cell).to_owned())).collect()
    }

    #[test]
    fn means_keep_the_digits_that_they_have() {
        let json = as_json(&point(None));
        assert_eq!((&json["temp"], &json["temp_max"]), (&json!(48.85), &json!(49.0)));
        assert_eq!((&json["at"], &json["beats"], &json["cpu"]), (&json!(1500), &json!(2), &json!(null)));
        let expected =
            cells([("time", "1970-01-01T00:00:01Z"), ("beats", "2"), ("temp", "48.85"), ("temp_max", "49")]);
        assert_eq!(as_csv(Step::Minute, &point(None)), expected);
    }

    #[test]
    fn single_heartbeats_are_whole_in_both_formats() {
        let beat = BeatDetail {
            sampled_at: Some(UnixMs(1460)),
            boot: Some(3),
            number: Some(u64::MAX),
            replayed: true,
            position: Some((4_812_345, -1_150_000)),
        };
        let point = point(Some(beat));
        let json = as_json(&point);
        assert_eq!(
            (&json["sampled_at"], &json["start"], &json["seq"]),
            (&json!(1460), &json!(3), &json!(u64::MAX))
        );
        assert_eq!((&json["latitude"], &json["replayed"]), (&json!(48.12345), &json!(true)));
        assert_eq!(json.get("temp_max"), None);
        let expected = cells([
            ("time", "1970-01-01T00:00:01.500Z"),
            ("beats", "2"),
            ("sampled_at", "1970-01-01T00:00:01.460Z"),
            ("start", "3"),
            ("seq", "18446744073709551615"),
            ("replayed", "true"),
            ("latitude", "48.12345"),
            ("longitude", "-11.5"),
            ("temp", "48.85"),
        ]);
        assert_eq!(as_csv(Step::Beat, &point), expected);
    }
}
