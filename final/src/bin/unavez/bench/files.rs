//! Where a result goes: JSON, CSV and figures.

use std::fs::{self, File};
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

use super::contender::Contender;
use super::report::Report;
use super::{csv, plot};
use crate::Result;

/// They are opened before the work is done.
pub(super) struct Files {
    json: Vec<File>,
    csv: Vec<File>,
    figures: Option<PathBuf>,
}

impl Files {
    /// A directory for all of it, and a file for each kind.
    pub(super) fn create(
        all: Option<&Path>,
        json: Option<&Path>,
        csv: Option<&Path>,
    ) -> Result<Files> {
        let wrong = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let create = |path: PathBuf| File::create(&path).map_err(|error| wrong(&path, error));
        if let Some(all) = all {
            fs::create_dir_all(all).map_err(|error| wrong(all, error))?;
        }
        let both = |file: Option<&Path>, name: &str| {
            let paths = file.map(Path::to_owned).into_iter().chain(all.map(|it| it.join(name)));
            paths.map(create).collect::<std::result::Result<_, _>>()
        };
        Ok(Files {
            json: both(json, "result.json")?,
            csv: both(csv, "result.csv")?,
            figures: all.map(Path::to_owned),
        })
    }

    pub(super) fn write(self, report: &Report) -> Result<()> {
        for json in self.json {
            let mut out = BufWriter::new(json);
            serde_json::to_writer(&mut out, report)?;
            writeln!(out)?;
            out.flush()?;
        }
        for csv in self.csv {
            let mut out = BufWriter::new(csv);
            csv::write(report, &mut out)?;
            out.flush()?;
        }
        let Some(figures) = self.figures else { return Ok(()) };
        let usual: Vec<String> = plot::USUAL.split(',').map(str::to_owned).collect();
        plot::draw(report, &Contender::named(&usual)?, &figures)?;
        writeln!(stdout(), "\nResult and figures: {}", figures.display())?;
        Ok(())
    }
}

/// As it is written, and read again. Four digits of a number count: no measurement here has more.
pub(super) fn rounded<T: Serialize + DeserializeOwned>(all: &T) -> Result<T> {
    let mut value = serde_json::to_value(all)?;
    round(&mut value);
    Ok(serde_json::from_value(value)?)
}

fn round(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let short = number.as_f64().and_then(|it| format!("{it:.3e}").parse().ok());
            if let Some(short) = short.and_then(Number::from_f64) {
                *number = short;
            }
        }
        Value::Array(all) => all.iter_mut().for_each(round),
        Value::Object(all) => all.values_mut().for_each(round),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_that_count() {
        // Large and small ones; whole ones are what they are.
        let mut value = serde_json::json!([123_456.789, 0.000_123_456_789, [1_234_567]]);
        round(&mut value);
        assert_eq!(value, serde_json::json!([123_500.0, 0.000_123_5, [1_234_567]]));
    }
}
