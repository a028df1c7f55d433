//! One program, at a site of its own or at the daemon of this host, as `UNAVEZ_ATTACH` says:
//!
//! ```console
//! cargo run -p unavez --example unavez-anywhere -- serve
//! UNAVEZ_ATTACH=1 cargo run -p unavez --example unavez-anywhere -- serve
//! cargo run -p unavez --example unavez-anywhere -- ask unavez://127.0.0.1:7373/upper hello
//! ```

use std::env;
use std::error::Error;
use std::io::{Write, stdout};

use unavez::{IpcClient, IpcServer, Site, SiteError};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    run(&words, &mut stdout())
}

/// What it does: nothing here knows where the site is.
pub(crate) fn run(words: &[&str], out: &mut dyn Write) -> Result<()> {
    let site = site()?;
    match words {
        ["serve"] => serve(&site, out),
        ["ask", url, text] => ask(&site, url, text, out),
        _ => Err("it wants: serve, or ask URL TEXT".into()),
    }
}

/// The site of this host, if it is said so; else one that only this process has.
fn site() -> Result<Site> {
    match env::var_os("UNAVEZ_ATTACH") {
        Some(_) => Ok(Site::attach()?),
        None => Ok(Site::embedded()?),
    }
}

/// Answers in capital letters, until the site is stopped.
fn serve(site: &Site, out: &mut dyn Write) -> Result<()> {
    let server = IpcServer::new(site)?;
    server.register("upper")?;
    writeln!(out, "unavez://{}/upper", site.address())?;
    loop {
        let (request, id) = match server.receive_request() {
            Ok(came) => came,
            Err(SiteError::Stopped | SiteError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // Whoever asked is told by the site; the next one may come.
        let reply = request.body().to_ascii_uppercase();
        if let Err(error) = server.send_reply(reply, id) {
            writeln!(out, "not answered: {error}")?;
        }
    }
}

/// Asks once, and says what to conclude if there is no reply.
fn ask(site: &Site, url: &str, text: &str, out: &mut dyn Write) -> Result<()> {
    match IpcClient::open(site, url)?.call(text.to_owned()) {
        Ok(reply) => writeln!(out, "{}", reply.body().escape_ascii())?,
        Err(error) => writeln!(out, "{error}: {}", error.conclude())?,
    }
    Ok(())
}
