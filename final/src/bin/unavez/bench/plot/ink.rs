//! Colours that are read on light and on dark ground, and text.

use plotters::prelude::RGBColor;
use plotters::style::{IntoFont, TextStyle};

use super::super::contender::Contender;

/// Of text and axes: as far from white as from black.
pub(super) const INK: RGBColor = RGBColor(128, 128, 128);

/// Text of this height.
pub(super) fn text(height: u32) -> TextStyle<'static> {
    ("sans-serif", height).into_font().color(&INK)
}

/// The palette of Okabe and Ito, which the colour-blind tell apart, without its black and its yellow.
pub(super) fn colour(contender: Contender) -> RGBColor {
    match contender {
        Contender::Udp | Contender::UdpBatch => RGBColor(140, 140, 140),
        Contender::TcpEach => RGBColor(213, 94, 0),
        Contender::TcpFastOpen => RGBColor(170, 75, 0),
        Contender::TcpOpen => RGBColor(230, 159, 0),
        Contender::QuicEach => RGBColor(160, 90, 130),
        Contender::QuicOpen => RGBColor(204, 121, 167),
        Contender::Unavez => RGBColor(0, 114, 178),
        Contender::UnavezdShm => RGBColor(86, 180, 233),
        Contender::UnavezdSysv => RGBColor(0, 158, 115),
    }
}

/// A time in µs as axes name it.
pub(super) fn time(us: &f64) -> String {
    match *us {
        us if us >= 1e6 => format!("{} s", short(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", short(us / 1e3)),
        us => format!("{} µs", short(us)),
    }
}

/// A number of bytes as axes name it.
pub(super) fn bytes(len: &f64) -> String {
    const KIB: f64 = 1024.0;
    match *len {
        len if len >= KIB * KIB => format!("{} MiB", short(len / KIB / KIB)),
        len if len >= KIB => format!("{} KiB", short(len / KIB)),
        len => short(len),
    }
}

/// The powers of a base from one value to another.
pub(super) fn powers(from: f64, to: f64, base: f64) -> Vec<f64> {
    // What is as good as a power is one.
    let first = (from.log(base) - 1e-9).ceil() as i32;
    let all = (first..).map(|exponent| base.powi(exponent));
    all.take_while(|power| *power <= to).collect()
}

/// What an axis of times names: the powers of ten, and where these are few also 2 and 5 times them.
pub(super) fn steps(from: f64, to: f64) -> Vec<f64> {
    if to / from > 1e4 {
        return powers(from, to, 10.0);
    }
    let tens = powers(from / 10.0, to, 10.0);
    let all = tens.iter().flat_map(|ten| [1.0, 2.0, 5.0].map(|times| ten * times));
    all.filter(|step| (from..=to).contains(step)).collect()
}

/// As few digits as tell it.
fn short(value: f64) -> String {
    format!("{}", (value * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps() {
        // Over many decades and over few.
        assert_eq!(steps(60.0, 600_000.0).len(), 12);
        assert_eq!(steps(40.0, 600.0), [50.0, 100.0, 200.0, 500.0]);
        assert_eq!(steps(1.0, 1e6).len(), 7);
        assert_eq!(powers(64.0, 5000.0, 4.0), [64.0, 256.0, 1024.0, 4096.0]);
    }

    #[test]
    fn axes_name_their_units() {
        // Around each border.
        let times = [5.0, 999.0, 1000.0, 2500.0, 1e6].map(|us| time(&us));
        assert_eq!(times, ["5 µs", "999 µs", "1 ms", "2.5 ms", "1 s"]);
        let lens = [64.0, 1024.0, 3_670_016.0].map(|len| bytes(&len));
        assert_eq!(lens, ["64", "1 KiB", "3.5 MiB"]);
    }
}
