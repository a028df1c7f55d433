//! Time against size, in two panels: small messages, and long ones.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::super::contender::Contender;
use super::ink;
use crate::Result;

/// The figure, in pixels.
const SIZE: (u32, u32) = (760, 500);
/// Above the panels are the title and the legend, below them where it comes from.
const HEAD: i32 = 86;
const FOOT: i32 = 24;

/// How long exchanges of a network take.
pub(super) struct Figure {
    pub(super) title: String,
    pub(super) lines: Vec<Line>,
    /// Up to here is the first panel, from here on the second.
    pub(super) border: f64,
}

/// A contender: for each size, in this order, the size, the median and the 99th of a hundred.
pub(super) struct Line {
    pub(super) contender: Contender,
    pub(super) points: Vec<(f64, f64, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Figure {
    pub(super) fn svg(&self, origin: &str) -> Result<String> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            root.draw(&Text::new(&*self.title, (10, 10), ink::text(20)))?;
            root.draw(&Text::new(origin, (10, SIZE.1 as i32 - 18), ink::text(12)))?;
            self.legend(&root)?;
            let panels = root.margin(HEAD, FOOT, 0, 0).split_evenly((1, 2));
            let border = self.border;
            if self.sizes().any(|len| len < border) {
                self.panel(&panels[0], "bytes", 0.0..border, |len| len <= border)?;
            }
            if self.sizes().any(|len| len > border) {
                let last = self.sizes().fold(border, f64::max);
                let times = ink::powers(1.0, last / border, 16.0);
                let steps = times.iter().map(|times| border * times).collect::<Vec<_>>();
                let sizes = (border..last).log_scale().with_key_points(steps);
                self.panel(&panels[1], "bytes, from there on", sizes, |len| len >= border)?;
            }
            root.present()?;
        }
        Ok(svg)
    }

    fn sizes(&self) -> impl Iterator<Item = f64> {
        self.lines.iter().flat_map(|line| line.points.iter().map(|(len, ..)| *len))
    }

    /// A stroke of its colour and the name of each, in rows of four.
    fn legend(&self, root: &Area) -> Result<()> {
        for (number, Line { contender, .. }) in self.lines.iter().enumerate() {
            let (left, top) = (12 + number as i32 % 4 * 184, 42 + number as i32 / 4 * 20);
            let colour = ink::colour(*contender);
            let stroke = Rectangle::new([(left, top + 6), (left + 22, top + 10)], colour.filled());
            root.draw(&stroke)?;
            root.draw(&Text::new(contender.name(), (left + 28, top), ink::text(15)))?;
        }
        Ok(())
    }

    fn panel<X>(
        &self,
        area: &Area,
        about: &str,
        sizes: X,
        shown: impl Fn(f64) -> bool,
    ) -> Result<()>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
    {
        let points = |line: &Line| -> Vec<(f64, f64, f64)> {
            line.points.iter().copied().filter(|(len, ..)| shown(*len)).collect()
        };
        let all: Vec<(f64, f64, f64)> = self.lines.iter().flat_map(points).collect();
        let least = all.iter().map(|it| it.1).fold(f64::INFINITY, f64::min);
        let most = all.iter().map(|it| it.2).fold(0.0, f64::max);
        let (least, most) = (least / 1.3, most * 1.3);
        let times = (least..most).log_scale().with_key_points(ink::steps(least, most));
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(28)
            .x_label_area_size(44)
            .y_label_area_size(70)
            .build_cartesian_2d(sizes, times)?;
        chart
            .configure_mesh()
            .bold_line_style(ink::INK.mix(0.25))
            .light_line_style(TRANSPARENT)
            .axis_style(ink::INK)
            .label_style(ink::text(13))
            .axis_desc_style(ink::text(14))
            .x_desc(about)
            .y_desc("median, and a band to the 99th of 100")
            .x_labels(5)
            .y_labels(16)
            .x_label_formatter(&ink::bytes)
            .y_label_formatter(&ink::time)
            .draw()?;
        for line in &self.lines {
            let (points, colour) = (points(line), ink::colour(line.contender));
            let medians = points.iter().map(|(len, p50, _)| (*len, *p50));
            let tops = points.iter().rev().map(|(len, _, p99)| (*len, *p99));
            let band: Vec<(f64, f64)> = medians.clone().chain(tops).collect();
            chart.draw_series([Polygon::new(band, colour.mix(0.12))])?;
            chart.draw_series(LineSeries::new(medians.clone(), colour.stroke_width(2)))?;
            chart.draw_series(medians.map(|at| Circle::new(at, 3, colour.filled())))?;
        }
        Ok(())
    }
}
