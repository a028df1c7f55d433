//! One number for each contender, as bars.

use plotters::prelude::*;

use super::super::contender::Contender;
use super::ink;
use crate::Result;

const WIDTH: u32 = 760;
/// Where the bars begin, and how long the longest is.
const LEFT: i32 = 190;
const LONGEST: f64 = 480.0;
const HEAD: i32 = 50;
const ROW: i32 = 30;
const FOOT: i32 = 34;

pub(super) struct Bars {
    pub(super) title: String,
    pub(super) bars: Vec<(Contender, f64)>,
}

impl Bars {
    pub(super) fn svg(&self, origin: &str) -> Result<String> {
        let height = HEAD + ROW * self.bars.len() as i32 + FOOT;
        let most = self.bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let mut svg = String::new();
        {
            let root =
                SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
            root.draw(&Text::new(&*self.title, (10, 12), ink::text(18)))?;
            root.draw(&Text::new(origin, (10, height - 18), ink::text(12)))?;
            for (number, (contender, value)) in self.bars.iter().enumerate() {
                let top = HEAD + ROW * number as i32;
                let right = LEFT + (value / most * LONGEST).round() as i32;
                root.draw(&Text::new(contender.name(), (10, top + 3), ink::text(15)))?;
                let bar = [(LEFT, top), (right, top + ROW - 10)];
                root.draw(&Rectangle::new(bar, ink::colour(*contender).filled()))?;
                let value = format!("{value:.2}");
                root.draw(&Text::new(value, (right + 6, top + 3), ink::text(15)))?;
            }
            root.present()?;
        }
        Ok(svg)
    }
}
