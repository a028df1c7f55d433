//! `cargo run -p book` builds the book and checks it; see `--help` for the rest.

use book::{
    STORMS, Server, Steps, build, generators, matrix_text, play_peer, price_rounds, price_text,
    scoreboard_text, storms_in_all,
};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use mdbook_preprocessor::errors::{Error, Result};
use mdbook_preprocessor::{Preprocessor, parse_input};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Builds the book and checks it.
#[derive(Parser)]
#[command(name = "book", version)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Build the book and serve it on 127.0.0.1, anew whenever a source changes
    Serve {
        /// The port to listen on
        #[arg(long, default_value_t = 3000)]
        port: u16,
    },
    /// Run every fault plan of the matrix on every step and print the verdicts
    Matrix,
    /// Run seeded storms on every step and print how many broke which promise
    Scoreboard {
        /// Storms of each kind for each step
        #[arg(long, default_value_t = STORMS, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
        storms: u64,
    },
    /// Measure what each mechanism costs and print the table
    Price {
        /// A few rounds, to see that it runs
        #[arg(long)]
        quick: bool,
    },
    /// A process of `price`
    #[command(hide = true)]
    PricePeer { role: String, cpu: usize, daemons: PathBuf },
    /// Expand the book's directives for the stock `mdbook`: book in, book out
    Preprocess {
        #[command(subcommand)]
        question: Option<Question>,
    },
}

#[derive(Subcommand)]
enum Question {
    /// Ask whether a renderer is supported
    Supports {
        /// The renderer's name
        renderer: String,
    },
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if !error.use_stderr() => {
            print!("{error}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let allowed = "allowed: serve, matrix, scoreboard, price, preprocess, --help";
            eprintln!("{}; {allowed}", first_paragraph(&error.to_string()));
            return ExitCode::from(2);
        }
    };
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// clap explains below what the first paragraph says.
fn first_paragraph(message: &str) -> String {
    let lines = message.lines().map(str::trim);
    let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    lines.join(" ")
}

fn run(args: Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    match args.command {
        None => {
            let pages = build(root, None, generators())?.canonicalize()?;
            println!("{}", pages.join("index.html").display());
            Ok(())
        }
        Some(Command::Serve { port }) => serve(root, port),
        Some(Command::Matrix) => {
            print!("{}", matrix_text());
            Ok(())
        }
        Some(Command::Scoreboard { storms }) => scoreboard(storms),
        Some(Command::Price { quick }) => price(quick),
        Some(Command::PricePeer { role, cpu, daemons }) => {
            play_peer(&role, cpu, daemons).map_err(Error::from_boxed)
        }
        Some(Command::Preprocess { question: None }) => preprocess(),
        Some(Command::Preprocess { question: Some(Question::Supports { renderer }) }) => {
            let supported = Steps::new(generators()).supports_renderer(&renderer)?;
            let refusal = || Error::msg(format!("renderer `{renderer}` is not supported"));
            supported.then_some(()).ok_or_else(refusal)
        }
    }
}

fn serve(root: &Path, port: u16) -> Result<()> {
    let server = Server::open(root, None, generators(), port)?;
    println!("http://{}/", server.address());
    server.run()?;
    Ok(())
}

fn scoreboard(storms: u64) -> Result<()> {
    let bar = bar(storms_in_all(storms), "storms")?;
    let text = scoreboard_text(storms, &|| bar.inc(1));
    bar.finish_and_clear();
    print!("{text}");
    Ok(())
}

fn price(quick: bool) -> Result<()> {
    let bar = bar(price_rounds(quick), "rounds")?;
    let text = price_text(quick, &|| bar.inc(1)).map_err(Error::from_boxed)?;
    bar.finish_and_clear();
    print!("{text}");
    Ok(())
}

fn bar(length: u64, what: &str) -> Result<ProgressBar> {
    let template = format!("{{bar:40}} {{human_pos}}/{{human_len}} {what}, {{eta}} left");
    Ok(ProgressBar::new(length).with_style(ProgressStyle::with_template(&template)?))
}

fn preprocess() -> Result<()> {
    let (context, book) = parse_input(io::stdin())?;
    let book = Steps::new(generators()).run(&context, book)?;
    serde_json::to_writer(io::stdout(), &book)?;
    Ok(())
}
