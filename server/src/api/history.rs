//! The history of one device: heartbeats, minutes or hours, as JSON or CSV.

use std::{fmt::Write, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query as QueryString, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json_, json};

use super::error;
use crate::{
    app::App,
    engine::read,
    limits::HISTORY_ROWS_MAX,
    model::reading::Value,
    store::{Point, Step},
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
    let points = app.read(move |read| read.history(device, step, from, to, HISTORY_ROWS_MAX + 1)).await;
    let Ok(mut points) = points else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "the database is not available");
    };
    let next = points.get(HISTORY_ROWS_MAX).map(|point| point.at.0);
    points.truncate(HISTORY_ROWS_MAX);
    if csv {
        let mut answer =
            ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], to_csv(&points)).into_response();
        if let Some(next) = next {
            answer.headers_mut().insert("x-next", next.into());
        }
        return answer;
    }
    let points: Vec<_> = points.iter().map(to_json).collect();
    Json(json!({ "points": points, "next": next })).into_response()
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

fn to_json(point: &Point) -> Json_ {
    let mut object = serde_json::Map::new();
    object.insert("at".to_owned(), json!(point.at.0));
    object.insert("beats".to_owned(), json!(point.beats));
    for value in Value::ALL {
        object.insert(value.name().to_owned(), json!(mean(point, value)));
        if point.beat.is_none() {
            object.insert(format!("{}_max", value.name()), json!(most(point, value)));
        }
    }
    if let Some(beat) = &point.beat {
        object.insert("sampled_at".to_owned(), json!(beat.sampled_at));
        object.insert("start".to_owned(), json!(beat.boot));
        object.insert("seq".to_owned(), json!(beat.number));
        object.insert("replayed".to_owned(), json!(beat.replayed));
        let degrees = |stored: i32| f64::from(stored) / 1e5;
        object.insert("latitude".to_owned(), json!(beat.position.map(|(latitude, _)| degrees(latitude))));
        object.insert("longitude".to_owned(), json!(beat.position.map(|(_, longitude)| degrees(longitude))));
    }
    Json_::Object(object)
}

/// Numbers and fixed words only, so that nothing needs quotes and no spreadsheet finds a formula.
fn to_csv(points: &[Point]) -> String {
    let mut csv = String::from("time,beats");
    for value in Value::ALL {
        let _ = write!(csv, ",{0},{0}_max", value.name());
    }
    csv.push('\n');
    for point in points {
        let _ = write!(csv, "{},{}", point.at.rfc3339(), point.beats);
        for value in Value::ALL {
            for number in [mean(point, value), most(point, value)] {
                csv.push(',');
                if let Some(number) = number {
                    let _ = write!(csv, "{number}");
                }
            }
        }
        csv.push('\n');
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn means_keep_the_digits_that_they_have() {
        let mut point = Point { at: UnixMs(0), beats: 2, mean: [None; 9], max: [None; 9], beat: None };
        point.mean[Value::Temp as usize] = Some(488.5);
        point.max[Value::Temp as usize] = Some(490);
        assert_eq!(to_json(&point)["temp"], 48.85);
        assert!(to_csv(&[point]).lines().nth(1).unwrap().starts_with("1970-01-01T00:00:00Z,2,,,,,48.85,49,"));
    }
}
