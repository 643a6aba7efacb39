//! A picture of a fleet's run.

use std::path::Path;

use plotters::prelude::*;

use super::{Plan, Second};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ChartError(String);

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for ChartError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self(error.to_string())
    }
}

/// Draws requests, deliveries and failures per second, and below them how many devices are back, as SVG.
///
/// # Errors
///
/// When the file cannot be written.
pub fn draw(plan: &Plan, history: &[Second], file: &Path) -> Result<(), ChartError> {
    let page = SVGBackend::new(file, (900, 520)).into_drawing_area();
    page.fill(&WHITE)?;
    let (upper, lower) = page.split_vertically(340);
    let length = history.len() as u64;
    let top = history.iter().map(|second| second.attempts.max(second.failed)).max().unwrap_or(1).max(1);
    let mut chart = ChartBuilder::on(&upper)
        .caption(format!("{} devices: per second", plan.devices), ("sans-serif", 16))
        .margin(8)
        .set_label_area_size(LabelAreaPosition::Left, 70)
        .set_label_area_size(LabelAreaPosition::Bottom, 24)
        .build_cartesian_2d(0..length, 0..top)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).draw()?;
    let mut line = |name: &str, color: RGBColor, value: fn(&Second) -> u32| -> Result<(), ChartError> {
        chart
            .draw_series(LineSeries::new((0..).zip(history.iter().map(value)), color))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
        Ok(())
    };
    line("requests", RGBColor(150, 150, 150), |second| second.attempts)?;
    line("new connections", RGBColor(60, 110, 200), |second| second.connections)?;
    line("failures", RGBColor(200, 50, 40), |second| second.failed)?;
    line("deliveries", RGBColor(30, 140, 60), |second| second.delivered)?;
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    let mut chart = ChartBuilder::on(&lower)
        .margin(8)
        .set_label_area_size(LabelAreaPosition::Left, 70)
        .set_label_area_size(LabelAreaPosition::Bottom, 40)
        .build_cartesian_2d(0..length, 0..100_u64)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds")
        .y_desc("% back")
        .y_labels(5)
        .draw()?;
    let share = |second: &Second| u64::from(second.back) * 100 / u64::from(plan.devices.max(1));
    chart.draw_series(LineSeries::new((0..).zip(history.iter().map(share)), RGBColor(30, 140, 60)))?;
    page.present()?;
    Ok(())
}
